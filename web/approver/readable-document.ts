import type { Feature } from '../../broker/domain/words.ts'
import { instantTimes, windowTimes } from '../shared/time.ts'
import { FEATURE_SHORT } from '../shared/words.ts'

export interface DocumentLine {
  name: string
  text: string
}

type Loose = Record<string, unknown>
const object = (value: unknown): Loose =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Loose) : {}
const text = (value: unknown): string =>
  typeof value === 'string' || typeof value === 'number' ? String(value) : ''
const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''

/**
 * The signed document in words. Known fields get a name; whatever else the server put in is listed too, so nothing
 * that is signed stays unseen (the raw document is one tap away).
 */
export function readableDocument(document: Loose, zone: string): DocumentLine[] {
  const snapshot = object(document.snapshot)
  const constraints = object(document.constraints)
  const requester = object(snapshot.requester)
  const site = object(snapshot.site)
  const asset = object(snapshot.asset)
  const ticket = object(snapshot.ticket)
  const window = object(snapshot.window)
  const ending = object(snapshot.ending)
  const extension = object(snapshot.extension)
  const lines: DocumentLine[] = []
  const add = (name: string, value: string) => {
    if (value.trim()) lines.push({ name, text: value })
  }
  add(
    'Decision',
    { granted: 'Approve', declined: 'Decline', withdrawn: 'Withdraw' }[text(document.decision)] ??
      text(document.decision),
  )
  add('Purpose', text(snapshot.purpose))
  add('Who', [text(requester.name), text(object(requester.vendor).name)].filter(Boolean).join(', '))
  add('Asset', [text(asset.name), text(asset.criticality), text(site.name)].filter(Boolean).join(', '))
  add(
    'Account',
    [text(snapshot.account), text(snapshot.protocol).toUpperCase()].filter(Boolean).join(' over '),
  )
  if (isText(window.opensAt) && isText(window.closesAt))
    add('Window', windowTimes(window.opensAt, window.closesAt, zone).text)
  if (isText(extension.closesAt)) {
    add('New end', instantTimes(extension.closesAt, zone).text)
    add('Why longer', text(extension.reason))
  }
  add('Clipboard', featureList(snapshot.features))
  if (snapshot.viewOnly === true) add('Input', 'None: view only')
  add('Ticket', [text(ticket.key), text(ticket.title)].filter(Boolean).join(': '))
  add('At the end', endingWords(ending))
  for (const [name, value] of Object.entries(constraints)) add(...constraintLine(name, value, zone))
  return lines
}

function featureList(value: unknown): string {
  if (!Array.isArray(value)) return ''
  if (value.length === 0) return 'Not allowed'
  return value.map((name) => FEATURE_SHORT[name as Feature] ?? String(name)).join(', ')
}

function endingWords(ending: Loose): string {
  const minutes = typeof ending.holdSeconds === 'number' ? Math.round(ending.holdSeconds / 60) : 0
  switch (ending.mode) {
    case 'operator-confirm':
      return `Input stops, an operator ends it, ${minutes} min at most`
    case 'grace':
      return `Input stops, view only for ${minutes} min`
    case 'cut':
      return 'Closed at once'
    default:
      return text(ending.mode)
  }
}

function constraintLine(name: string, value: unknown, zone: string): [string, string] {
  switch (name) {
    case 'opensAt':
      return ['Narrowed: opens', isText(value) ? instantTimes(value, zone).text : '']
    case 'closesAt':
      return ['Narrowed: closes', isText(value) ? instantTimes(value, zone).text : '']
    case 'viewOnly':
      return ['Narrowed: input', value === true ? 'None: view only' : '']
    case 'features':
      return ['Narrowed: clipboard', featureList(value)]
    case 'inputDuringGrace':
      return ['Given: grace', value === true ? 'Input goes on in the time after the end' : '']
    default:
      return [name, JSON.stringify(value)]
  }
}
