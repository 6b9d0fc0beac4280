import { wipe } from "../../bytes/index.ts";
import type { Application } from "../application.ts";
import type { Template } from "../attributes/kinds.ts";
import { newObject } from "../attributes/new-object.ts";
import { setOrigin } from "../attributes/origin.ts";
import { type AttributeList, readTemplate } from "../attributes/template.ts";
import { CKA } from "../constants/cka.ts";
import { CKK } from "../constants/ckk.ts";
import { CKO } from "../constants/cko.ts";
import { wantedLength } from "../objects/software-secret-key.ts";
import type { CK_MECHANISM } from "../structures.ts";
import { keepObject, requireUserFor } from "./keep.ts";
import { withPrivateKey } from "./key-use.ts";

export function deriveKey(
  application: Application,
  handle: number,
  mechanism: CK_MECHANISM,
  baseKey: number,
  template: Template | AttributeList,
  signal?: AbortSignal,
): Promise<number> {
  return application.inSession(
    handle,
    async (session) => {
      const { token } = session;
      const request = { application, session, use: "derive", mechanism, key: baseKey } as const;
      const { scheme, key } = await withPrivateKey(request, ({ agreement }) => agreement);
      const given = readTemplate(template);
      const typed = given.some(([type]) => type === CKA.KEY_TYPE)
        ? given
        : [...given, [CKA.KEY_TYPE, CKK.GENERIC_SECRET] as const];
      const made = newObject(typed, "derive", application.logins.userOf(token), [[CKA.CLASS, CKO.SECRET_KEY]]);
      const length = wantedLength(made.values);
      requireUserFor(application, session, made);
      const secret = await scheme.agree(key, signal);
      made.values.set(
        CKA.VALUE,
        derived(() => scheme.derive(secret, length), secret),
      );
      setOrigin(made, { from: "derivation", alwaysSensitive: true, neverExtractable: true });
      return keepObject(application, session, made, given, signal);
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
