import { connect, createServer } from 'node:net'

/** Arguments: Unix socket, host, port. Run inside a namespace; bytes pass unseen. */
const [, , socketPath = '', host = '', port = ''] = process.argv
const server = createServer({ allowHalfOpen: true }, (near) => {
  const far = connect({ host, port: Number(port), allowHalfOpen: true })
  near.pipe(far).pipe(near)
  near.on('error', () => far.destroy())
  far.on('error', () => near.destroy())
  near.on('close', () => far.destroy())
  far.on('close', () => near.destroy())
})
server.listen(socketPath)
