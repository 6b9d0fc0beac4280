import { randomBytes, type RandomSource } from "../../crypto/index.ts";
import type { Application } from "../application.ts";
import type { Template } from "../attributes/kinds.ts";
import { newObject } from "../attributes/new-object.ts";
import { setOrigin } from "../attributes/origin.ts";
import { inconsistent } from "../attributes/refusals.ts";
import { type AttributeList, readTemplate } from "../attributes/template.ts";
import { CKA } from "../constants/cka.ts";
import { CKO } from "../constants/cko.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { requireMechanism } from "../mechanisms/offer.ts";
import { wantedLength } from "../objects/software-secret-key.ts";
import type { CK_MECHANISM } from "../structures.ts";
import { keepObject, requireAccess } from "./keep.ts";

const hostRandom: RandomSource = (length) => Promise.resolve(randomBytes(length));

/** C_GenerateKey: secret keys are made by the host, and end with their session. */
export function generateKey(
  application: Application,
  handle: number,
  mechanism: CK_MECHANISM,
  template: Template | AttributeList,
  signal?: AbortSignal,
): Promise<number> {
  return application.inSession(
    handle,
    async (session) => {
      const { token } = session;
      const entry = requireMechanism(token.cardToken, mechanism, "generate");
      if (entry.kind !== "generation") throw new CryptokiError(CKR.MECHANISM_INVALID);
      const given = readTemplate(template);
      const named = given.find(([type]) => type === CKA.KEY_TYPE)?.[1];
      const keyType = entry.keyTypes.find((type) => named === undefined || type === named);
      if (keyType === undefined) throw inconsistent(CKA.KEY_TYPE, "is not what the mechanism makes");
      const made = newObject(given, "generate", application.logins.userOf(token), [
        [CKA.CLASS, CKO.SECRET_KEY],
        [CKA.KEY_TYPE, keyType],
      ]);
      requireAccess(application, session, made);
      const request = {
        keyType,
        length: wantedLength(made.values),
        parameter: mechanism.parameter,
        random: application.engines.random ?? hostRandom,
      };
      made.values.set(CKA.VALUE, await entry.generate(request));
      setOrigin(made, { from: "generation", mechanism: mechanism.mechanism });
      return keepObject(application, session, made, given, signal);
    },
    signal,
  );
}
