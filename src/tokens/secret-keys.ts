import type { CallOptions } from "../async/index.ts";
import { wipe } from "../bytes/index.ts";
import { type CK_OBJECT_HANDLE, type CK_SESSION_HANDLE, CKA, CKM, CKO, type Template } from "../cryptoki/index.ts";
import type { TokenAccess } from "./access.ts";
import { copyBytes } from "./data-input.ts";
import { readId, requireDescription } from "./descriptions.ts";
import { checked, TokenError } from "./error.ts";
import { type NewSecret, SecretKey, secretTemplate } from "./secret-key.ts";

/** In bits. */
const AES_SIZES: readonly number[] = [128, 192, 256];

/** The secret keys of a token, and of sessions with it. */
export class SecretKeys {
  readonly #access: TokenAccess;

  /** @internal */
  constructor(access: TokenAccess) {
    this.#access = access;
  }

  /**
   * Makes an AES key, or a generic secret.
   * @param key `bits`: 128, 192 or 256 for AES; a multiple of 8 for a generic secret.
   * @returns The key; dispose of it when it is no longer needed.
   */
  async generate({ signal, bits, ...key }: NewSecret & CallOptions & { readonly bits: number }): Promise<SecretKey> {
    const template = secretTemplate(key);
    const isSize = key.type === "aes" ? AES_SIZES.includes(bits) : Number.isInteger(bits / 8) && bits > 0;
    if (!isSize) throw new TokenError("BAD_INPUT", `no ${key.type} key has ${bits} bits`);
    const mechanism = key.type === "aes" ? CKM.AES_KEY_GEN : CKM.GENERIC_SECRET_KEY_GEN;
    const whole = { ...template, [CKA.VALUE_LEN]: bits / 8 };
    const { cryptoki } = this.#access;
    return this.#make(key, (session) => cryptoki.C_GenerateKey(session, { mechanism }, whole, { signal }), signal);
  }

  /** Takes a key of this process to the token. @param value The key's bytes; the caller wipes them. */
  async import(value: Uint8Array, options: NewSecret & CallOptions): Promise<SecretKey> {
    const { signal, ...key } = checked(options);
    const template = secretTemplate(key);
    const own = copyBytes(value, "the key");
    try {
      if (key.type === "aes" && !AES_SIZES.includes(own.length * 8)) {
        throw new TokenError("BAD_INPUT", `an AES key has 16, 24 or 32 bytes, not ${own.length}`);
      }
      const { cryptoki } = this.#access;
      const whole = { ...template, [CKA.VALUE]: own };
      return await this.#make(key, (session) => cryptoki.C_CreateObject(session, whole, { signal }), signal);
    } finally {
      wipe(own);
    }
  }

  /**
   * The only secret key on the token that fits.
   * @returns The key; dispose of it when it is no longer needed.
   * @throws {TokenError} NO_OBJECT; SEVERAL_OBJECTS.
   */
  async get(
    query: { readonly label?: string; readonly id?: string | Uint8Array },
    options: CallOptions = {},
  ): Promise<SecretKey> {
    const { signal } = checked(options);
    requireDescription(query, "a secret key", ["label"]);
    const id = readId(query.id);
    const template: Template = {
      [CKA.CLASS]: CKO.SECRET_KEY,
      [CKA.TOKEN]: true,
      ...(id && { [CKA.ID]: id }),
      ...(query.label !== undefined && { [CKA.LABEL]: query.label }),
    };
    const access = this.#access;
    const find = async (session: CK_SESSION_HANDLE): Promise<CK_OBJECT_HANDLE> => {
      const [only, ...others] = await access.find(session, template, signal);
      if (only === undefined) throw new TokenError("NO_OBJECT", "no secret key on the token fits the query");
      if (others.length > 0)
        throw new TokenError("SEVERAL_OBJECTS", `${1 + others.length} secret keys fit the query; describe one of them`);
      return only;
    };
    return this.#loggedIn(() => SecretKey.make(access, find, signal), access.login.canAsk, signal);
  }

  /** A key that is stored is private: it wants the user's login. */
  #make(
    { store = false }: NewSecret,
    make: (session: CK_SESSION_HANDLE) => Promise<CK_OBJECT_HANDLE>,
    signal?: AbortSignal,
  ): Promise<SecretKey> {
    const access = this.#access;
    return this.#loggedIn(() => SecretKey.make(access, make, signal), store && access.login.canAsk, signal);
  }

  #loggedIn<T>(work: () => Promise<T>, wantsLogin: boolean, signal?: AbortSignal): Promise<T> {
    const access = this.#access;
    if (!wantsLogin) return work();
    return access.asUser(async () => {
      const pin = await access.login.ensure(undefined, signal);
      if (pin) wipe(pin);
      return work();
    }, signal);
  }
}
