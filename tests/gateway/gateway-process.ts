import { startGateway } from '../../gateway/gateway.ts'

/** A gateway in a process of its own, to be killed. Arguments: data folder, reserve in bytes. */
const [, , dataDir = '', reserve = '1048576'] = process.argv
await startGateway({ dataDir, workers: 1, anchorEveryMs: 100, reserveBytes: Number(reserve) })
process.send?.('started')
