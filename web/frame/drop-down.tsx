import { type ReactNode, useId, useRef } from 'react'

/**
 * A button that opens a small list of links and choices, on the browser's own popover: it closes on Escape and on a
 * press elsewhere, and stands above everything. (A component library's menu would double the phone page's weight.)
 */
export function DropDown(props: {
  face: ReactNode
  label?: string
  className: string
  side: 'left' | 'right' | 'bottom'
  children: ReactNode
}) {
  const id = useId()
  const list = useRef<HTMLDivElement>(null)
  const button = useRef<HTMLButtonElement>(null)
  const step = (by: number) => {
    const items = [...(list.current?.querySelectorAll<HTMLElement>('a, button') ?? [])]
    const at = items.indexOf(document.activeElement as HTMLElement)
    items[(at + by + items.length) % items.length]?.focus()
  }
  return (
    <>
      <button
        type="button"
        ref={button}
        className={props.className}
        popoverTarget={id}
        aria-label={props.label}
        aria-haspopup="true"
      >
        {props.face}
      </button>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: arrows are a convenience; every item is reached by Tab */}
      <div
        id={id}
        ref={list}
        popover="auto"
        className={`drop-down drop-down-${props.side}`}
        onToggle={(event) => {
          if (event.newState !== 'open') return
          const rect = button.current?.getBoundingClientRect()
          if (rect && props.side === 'left') event.currentTarget.style.left = `${rect.left}px`
          list.current?.querySelector<HTMLElement>('a, button')?.focus()
        }}
        onClick={(event) => {
          if ((event.target as HTMLElement).closest('a, [data-closes]')) event.currentTarget.hidePopover()
        }}
        onKeyDown={(event) => {
          if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return
          event.preventDefault()
          step(event.key === 'ArrowDown' ? 1 : -1)
        }}
      >
        {props.children}
      </div>
    </>
  )
}

export function DropDownChoice(props: {
  chosen: boolean
  onClick: () => void
  icon: ReactNode
  children: ReactNode
}) {
  return (
    <button
      type="button"
      className="drop-down-item"
      aria-pressed={props.chosen}
      onClick={props.onClick}
      data-closes
    >
      <span className="icon-gap">{props.chosen ? props.icon : null}</span>
      {props.children}
    </button>
  )
}
