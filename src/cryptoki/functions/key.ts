import { toHex, wipe } from "../../bytes/index.ts";
import { randomBytes } from "../../crypto/index.ts";
import type { Application } from "../application.ts";
import type { Template } from "../attributes/kinds.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { readSecretKeyTemplate, secretKeyObject } from "../objects/secret-key.ts";
import type { CK_MECHANISM } from "../structures.ts";
import { withPrivateKey } from "./key-use.ts";

export function deriveKey(
  application: Application,
  handle: number,
  mechanism: CK_MECHANISM,
  baseKey: number,
  template: Template,
  signal?: AbortSignal,
): Promise<number> {
  return application.inSession(
    handle,
    async (session) => {
      const { token } = session;
      const request = { application, session, use: "derive", mechanism, key: baseKey } as const;
      const { scheme, key } = await withPrivateKey(request, ({ agreement }) => agreement);
      const loggedIn = application.logins.userOf(token) === "user";
      const wanted = readSecretKeyTemplate(template, loggedIn);
      if (wanted.private && !loggedIn) throw new CryptokiError(CKR.USER_NOT_LOGGED_IN);
      const secret = await scheme.agree(key, signal);
      const value = derived(() => scheme.derive(secret, wanted.length), secret);
      try {
        // A logout, or the end of the card, in the meantime ends what it would have ended a moment later.
        if (!application.sessions.has(session)) throw new CryptokiError(CKR.DEVICE_REMOVED);
        if (wanted.private && !application.logins.userOf(token)) throw new CryptokiError(CKR.USER_NOT_LOGGED_IN);
        return application.objects.create(session, secretKeyObject(wanted, value, toHex(randomBytes(16)))).handle;
      } catch (error) {
        wipe(value);
        throw error;
      }
    },
    signal,
  );
}

/** What `derive` makes of `secret`, which nobody needs afterwards. */
function derived(derive: () => Uint8Array, secret: Uint8Array): Uint8Array {
  try {
    return derive();
  } finally {
    wipe(secret);
  }
}
