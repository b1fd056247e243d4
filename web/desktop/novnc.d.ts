/** What is used of noVNC, which carries no types (docs/API.md of @novnc/novnc 1.7). */
declare module '@novnc/novnc' {
  export interface NoVncChannel {
    readonly readyState: number
    readonly protocol: string
    binaryType: BinaryType
    onopen: (() => void) | null
    onmessage: ((event: { data: ArrayBuffer }) => void) | null
    onclose: ((event: { code: number; reason: string; wasClean: boolean }) => void) | null
    onerror: ((event: unknown) => void) | null
    send(bytes: Uint8Array<ArrayBuffer>): void
    close(): void
  }

  export default class RFB extends EventTarget {
    constructor(target: HTMLElement, channel: NoVncChannel, options?: { shared?: boolean })
    viewOnly: boolean
    scaleViewport: boolean
    clipViewport: boolean
    dragViewport: boolean
    resizeSession: boolean
    showDotCursor: boolean
    background: string
    focusOnClick: boolean
    disconnect(): void
    focus(options?: FocusOptions): void
    blur(): void
    sendKey(keysym: number, code: string | null, down?: boolean): void
    sendCtrlAltDel(): void
    clipboardPasteFrom(text: string): void
  }
}
