import { Button, Modal } from '@mantine/core'
import type { ReactNode } from 'react'
import { ErrorNote } from '../shared/kit.tsx'

/** A dialog with one form: fields, the server's refusal, one verb. */
export function FormDialog(props: {
  title: string
  verb: string
  opened: boolean
  close: () => void
  submit: () => void
  busy: boolean
  error: unknown
  children: ReactNode
  wide?: boolean
  danger?: boolean
}) {
  return (
    <Modal opened={props.opened} onClose={props.close} title={props.title} size={props.wide ? 'lg' : 'md'}>
      <form
        className="form"
        onSubmit={(event) => {
          event.preventDefault()
          props.submit()
        }}
      >
        {props.children}
        {props.error ? <ErrorNote error={props.error} /> : null}
        <div className="row row-end">
          <Button variant="default" onClick={props.close}>
            Back
          </Button>
          <Button type="submit" loading={props.busy} {...(props.danger ? { color: 'alarm' } : {})}>
            {props.verb}
          </Button>
        </div>
      </form>
    </Modal>
  )
}

/** End of a day at this computer as an instant; null when empty. */
export const endOfDay = (date: string): string | null =>
  date ? new Date(`${date}T23:59:59.999`).toISOString() : null

export const dayOf = (instant: string | null): string => {
  if (!instant) return ''
  const at = new Date(instant)
  const two = (n: number) => String(n).padStart(2, '0')
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`
}
