import { type MessagePort, parentPort } from 'node:worker_threads'
import { ScreenModel } from './model.ts'

/** Entry of the model thread: its parent sends one port for each session worker. */
const model = new ScreenModel()
parentPort?.on('message', (port: MessagePort) => model.serve(port))
