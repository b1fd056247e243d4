/** README.txt of every evidence package. */
export const README = `Sallyport evidence package

This file holds the recording of one remote session, and what proves it: who asked, who approved,
what was granted, what was done, and the place of all of it in the audit log.

Do not trust this package: check it. You need the trust file keys.json, which you must have got by
another way than together with this package, and one of the verifiers:

    sallyport verify PACKAGE.zip --trust keys.json
    sallyport verify PACKAGE.zip --trust keys.json --key recipient.jwk     (opens the content, too)

Exit status: 0 VALID, 1 VALID-TRUNCATED (what is there is proven, the end or a stretch is missing,
as declared), 2 INVALID. docs/evidence-format.md describes every byte, so that anybody can write
another verifier.

manifest.jws   what the gateway recorded, signed by it       receipt.jws   the broker's answer
grant.jws      the permission for this session               approvals/    who approved, as signed
segments/      the recording, encrypted                      keys/         its keys, for the recipient
audit/         log entries with proofs, and the checkpoint   custody.ndjson  who had it in hand
package.jws    the signed list of all files

What was typed (the input stream) stays sealed: only two custodians together can open it.
`
