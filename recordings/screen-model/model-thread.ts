import { constants, setPriority } from 'node:os'
import { type MessagePort, parentPort } from 'node:worker_threads'
import { ScreenModel } from './model.ts'

/**
 * Entry of the model thread: its parent sends one port for each session worker. Where every core is busy, the
 * sessions' bytes go first and the model catches up: on Linux setpriority(2) with 0 is for the calling thread alone.
 */
if (process.platform === 'linux') setPriority(0, constants.priority.PRIORITY_LOW)
const model = new ScreenModel()
parentPort?.on('message', (port: MessagePort) => model.serve(port))
