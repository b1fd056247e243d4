import {
  Button,
  Modal,
  NativeSelect,
  type NativeSelectProps,
  Textarea,
  type TextareaProps,
  TextInput,
  type TextInputProps,
} from '@mantine/core'
import { createContext, type ReactNode, useContext } from 'react'
import { ErrorNote, fieldError } from './kit.tsx'

/** The refusal of the form that a field stands in, so that each field finds its own part of it. */
const Refusal = createContext<unknown>(null)

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
        <Refusal value={props.error}>{props.children}</Refusal>
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

/** What every field of a form has: its value, what sets it, and the server's name for it. */
interface Bound {
  value: string
  set: (value: string) => void
  path: string
}

export function TextField({ set, path, ...rest }: Bound & TextInputProps) {
  const error = fieldError(useContext(Refusal), path)
  return <TextInput {...rest} onChange={(event) => set(event.currentTarget.value)} error={error} />
}

export function AreaField({ set, path, ...rest }: Bound & TextareaProps) {
  const error = fieldError(useContext(Refusal), path)
  return <Textarea {...rest} onChange={(event) => set(event.currentTarget.value)} error={error} />
}

export function ChoiceField({ set, path, ...rest }: Bound & NativeSelectProps) {
  const error = fieldError(useContext(Refusal), path)
  return <NativeSelect {...rest} onChange={(event) => set(event.currentTarget.value)} error={error} />
}

/** Why somebody does this: a line in the audit log. */
export function ReasonField(props: Omit<Bound, 'path'>) {
  return <TextField label="Reason" path="reason" required {...props} />
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
