import { proveKey } from "../../certificates/index.ts";
import type { PublicKey } from "../../crypto/index.ts";
import { CKA } from "../../cryptoki/index.ts";
import type { TokenSession } from "../session.ts";
import { choosePrivateKey, USE } from "./selection.ts";

/** Has the private key with a CKA_ID work on a random value, and checks it with `publicKey`. The PIN is asked for where the key wants it. */
export async function proveOnToken(
  session: TokenSession,
  id: Uint8Array,
  publicKey: PublicKey,
): ReturnType<typeof proveKey> {
  const entry = await choosePrivateKey(session, { id }, USE.sign);
  return proveKey({
    publicKey,
    uses: {
      sign: await session.flag(entry.handle, CKA.SIGN),
      decrypt: await session.flag(entry.handle, CKA.DECRYPT),
      derive: await session.flag(entry.handle, CKA.DERIVE),
    },
    offered: await session.mechanisms(),
    sign: (mechanism, data) => session.sign(entry, mechanism, data),
    decrypt: (mechanism, data) => session.decrypt(entry, mechanism, data),
    derive: (mechanism) => session.derive(entry, mechanism),
  });
}
