import { DataError } from "../../bytes/index.ts";
import { curveInfo, decodeEcParameters } from "../../crypto/index.ts";
import { AttributeError, CKA, CKK, type CryptokiFunctions, type Template } from "../../cryptoki/index.ts";
import type { Request } from "../wire/message.ts";

/** The key that each session signs with: its size is that of the signature, which a caller may ask for before it signs. */
export class SigningKeys {
  readonly #keys = new Map<number, number>();

  /** Takes note of a C_SignInit that was carried out, and of the ends of sessions. */
  observe({ call, args }: Request): void {
    const [session, mechanism, key] = args;
    if (call.function === "C_CloseSession" && typeof session === "number") this.#keys.delete(session);
    // C_CloseAllSessions does not say which sessions they were. A size that is not known is found by signing.
    if (call.function === "C_CloseAllSessions" || call.function === "C_Finalize") this.#keys.clear();
    if (call.function !== "C_SignInit") return;
    if (typeof session !== "number" || typeof key !== "number") return;
    if (mechanism === null) this.#keys.delete(session);
    else this.#keys.set(session, key);
  }

  /**
   * How long the signature that a C_Sign or C_SignFinal makes will be, without making it; undefined if that is not known, or
   * it is another function.
   */
  async length({ call, args }: Request, application: CryptokiFunctions): Promise<number | undefined> {
    const [session] = args;
    if ((call.function !== "C_Sign" && call.function !== "C_SignFinal") || typeof session !== "number")
      return undefined;
    const key = this.#keys.get(session);
    return key === undefined ? undefined : signatureLength(application, session, key);
  }
}

async function signatureLength(
  application: CryptokiFunctions,
  session: number,
  key: number,
): Promise<number | undefined> {
  try {
    const shown = await attributes(application, session, key);
    if (shown[CKA.KEY_TYPE] === CKK.RSA) return shown[CKA.MODULUS]?.length;
    const parameters = shown[CKA.EC_PARAMS];
    if (shown[CKA.KEY_TYPE] !== CKK.EC || !parameters) return undefined;
    return 2 * curveInfo(decodeEcParameters(parameters)).bytes;
  } catch (error) {
    // A curve that is not known here: the signature itself will tell.
    if (error instanceof DataError) return undefined;
    throw error;
  }
}

async function attributes(application: CryptokiFunctions, session: number, key: number): Promise<Template> {
  try {
    return await application.C_GetAttributeValue(session, key, [CKA.KEY_TYPE, CKA.MODULUS, CKA.EC_PARAMS]);
  } catch (error) {
    if (error instanceof AttributeError) return error.values;
    throw error;
  }
}
