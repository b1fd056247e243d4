import { verifyCommand } from './verify.ts'

/** The separate release file: `sallyport-verify.mjs [verify] FILE --trust keys.json [--key recipient.jwk]`. */
const args = process.argv.slice(2)
process.exitCode = await verifyCommand(args[0] === 'verify' ? args.slice(1) : args)
