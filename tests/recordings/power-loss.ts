import fs from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'

/**
 * A page cache that can be lost. Code under test writes to a real folder through the functions given here, which also
 * keep book of what POSIX promises to survive a power loss: of a file the bytes that it had at its last fsync, of a
 * folder the names that it had at its own. Everything else may be there afterwards or not, each for itself, whatever the
 * order it was done in.
 */
interface FileNode {
  type: 'file'
  content: Buffer
  durable: Buffer
}
interface FolderNode {
  type: 'folder'
  names: Map<string, Node>
  durable: Map<string, Node>
}
type Node = FileNode | FolderNode

export class PageCache {
  /** Called after each operation, as soon as its effect is there and before anybody hears of it. */
  onOperation: () => void = () => {}
  readonly #root: FolderNode = newFolder()
  readonly #path: string

  constructor(root: string) {
    this.#path = root
  }

  /** What is on the medium after a power loss now: paths and contents. `any(n)` chooses below n. */
  lose(any: (below: number) => number): Map<string, Buffer | null> {
    const left = new Map<string, Buffer | null>()
    const walk = (folder: FolderNode, path: string) => {
      for (const name of new Set([...folder.durable.keys(), ...folder.names.keys()])) {
        const [synced, now] = [folder.durable.get(name), folder.names.get(name)]
        const node = synced === now || any(2) === 0 ? synced : now
        if (!node) continue
        const at = join(path, name)
        left.set(at, node.type === 'file' ? afterLoss(node, any) : null)
        if (node.type === 'folder') walk(node, at)
      }
    }
    walk(this.#root, '')
    return left
  }

  /** The functions of node:fs/promises that write, over this cache; those that only read are the real ones. */
  functions(): typeof fs.promises {
    const real = fs.promises
    const done = <T>(value: T): T => {
      this.onOperation()
      return value
    }
    return {
      ...real,
      mkdir: (async (path: string, options: fs.MakeDirectoryOptions) => {
        const made = await real.mkdir(path, options)
        this.#folder(path, true)
        return done(made)
      }) as typeof real.mkdir,
      open: (async (path: string, flags: string, mode?: number) => {
        const handle = await real.open(path, flags, mode)
        if (!this.#isInside(path)) return handle
        const node = flags === 'r' ? this.#find(path) : this.#create(path)
        return done(node ? tracked(handle, node, done) : handle)
      }) as unknown as typeof real.open,
      rename: (async (from: string, to: string) => {
        await real.rename(from, to)
        this.#name(to, this.#find(from))
        this.#name(from, undefined)
        done(undefined)
      }) as typeof real.rename,
      link: (async (from: string, to: string) => {
        await real.link(from, to)
        this.#name(to, this.#find(from))
        done(undefined)
      }) as typeof real.link,
      unlink: (async (path: string) => {
        await real.unlink(path)
        this.#name(path, undefined)
        done(undefined)
      }) as typeof real.unlink,
      rm: (async (path: string, options?: fs.RmOptions) => {
        await real.rm(path, options)
        if (this.#isInside(path)) this.#name(path, undefined)
        done(undefined)
      }) as typeof real.rm,
      appendFile: (async (path: string, text: string, options?: fs.ObjectEncodingOptions) => {
        await real.appendFile(path, text, options)
        const node = this.#find(path) ?? this.#create(path)
        if (node.type === 'file') node.content = Buffer.concat([node.content, Buffer.from(text)])
        done(undefined)
      }) as typeof real.appendFile,
    }
  }

  #isInside(path: string): boolean {
    return !relative(this.#path, path).startsWith('..')
  }

  #parts(path: string): string[] {
    return relative(this.#path, path)
      .split('/')
      .filter((part) => part !== '')
  }

  #folder(path: string, isMade: boolean): FolderNode | undefined {
    let at: FolderNode = this.#root
    for (const part of this.#parts(path)) {
      let next = at.names.get(part)
      if (!next && isMade) {
        next = newFolder()
        at.names.set(part, next)
      }
      if (next?.type !== 'folder') return undefined
      at = next
    }
    return at
  }

  #find(path: string): Node | undefined {
    if (this.#parts(path).length === 0) return this.#root
    return this.#folder(dirname(path), false)?.names.get(basename(path))
  }

  #create(path: string): FileNode {
    const node: FileNode = { type: 'file', content: Buffer.alloc(0), durable: Buffer.alloc(0) }
    this.#name(path, node)
    return node
  }

  #name(path: string, node: Node | undefined): void {
    const folder = this.#folder(dirname(path), false)
    if (!folder) throw new Error(`no folder for ${path}`)
    if (node) folder.names.set(basename(path), node)
    else folder.names.delete(basename(path))
  }
}

function newFolder(): FolderNode {
  return { type: 'folder', names: new Map(), durable: new Map() }
}

/** What was not synced is there up to any length, and perhaps as zeros. */
function afterLoss({ content, durable }: FileNode, any: (below: number) => number): Buffer {
  const more = Buffer.from(content.subarray(durable.length))
  const kept = more.subarray(0, any(more.length + 1))
  if (any(2) === 0) kept.fill(0, any(kept.length + 1))
  return Buffer.concat([durable, kept])
}

function tracked(
  handle: fs.promises.FileHandle,
  node: Node,
  done: <T>(value: T) => T,
): Pick<fs.promises.FileHandle, 'writeFile' | 'write' | 'writev' | 'sync' | 'datasync' | 'close'> {
  const add = (bytes: Uint8Array | string) => {
    if (node.type === 'file') node.content = Buffer.concat([node.content, Buffer.from(bytes as string)])
  }
  // What was there when it began is durable when it ends; what came meanwhile need not be.
  const sync = async () => {
    const [content, names] = node.type === 'file' ? [node.content, null] : [null, new Map(node.names)]
    await handle.sync()
    if (node.type === 'file' && content) node.durable = content
    if (node.type === 'folder' && names) node.durable = names
    done(undefined)
  }
  return {
    writeFile: async (bytes) => {
      await handle.writeFile(bytes as string)
      add(bytes as string)
      done(undefined)
    },
    write: (async (bytes: Uint8Array, offset = 0) => {
      const result = await handle.write(bytes, offset)
      add(bytes.subarray(offset, offset + result.bytesWritten))
      return done(result)
    }) as fs.promises.FileHandle['write'],
    writev: async (parts) => {
      const result = await handle.writev(parts)
      add(Buffer.concat(parts as unknown as Uint8Array[]).subarray(0, result.bytesWritten))
      return done(result) as never
    },
    sync,
    datasync: sync,
    close: () => handle.close(),
  }
}
