import { readFile } from "node:fs/promises";
import { secretUtf8, wipe } from "../bytes/index.ts";
import { parseUri, type Pkcs11Uri } from "../cryptoki/index.ts";
import { type PinSource, TokenError, type TokenInfo } from "../tokens/index.ts";
import { isToken } from "./clients.ts";
import type { SecretPlace, TokenSecrets } from "./configuration.ts";

interface Place {
  readonly token: Pkcs11Uri;
  readonly pin: SecretPlace | undefined;
  readonly officerPin: SecretPlace | undefined;
}

/** The PINs that the configuration names. They are read when they are wanted, and wiped after use. */
export class Secrets {
  readonly #places: readonly Place[];
  readonly #env: NodeJS.ProcessEnv;

  /** @throws {DataError} for a malformed URI. */
  constructor(secrets: readonly TokenSecrets[], env: NodeJS.ProcessEnv = process.env) {
    this.#places = secrets.map(({ token, pin, officerPin }) => ({ token: parseUri(token), pin, officerPin }));
    this.#env = env;
  }

  /** The source for `openTokens`. A PIN that was refused is not given a second time: it would spend another try. */
  readonly pin: PinSource = async ({ again, token }) => {
    const info = await token();
    if (again) throw new TokenError("PIN_DECLINED", `the PIN that the configuration names for ${info.uri} is wrong`);
    return this.#read("pin", info);
  };

  /** @throws {TokenError} NO_PIN_SOURCE. */
  officerPin(info: TokenInfo): Promise<Uint8Array> {
    return this.#read("officerPin", info);
  }

  async #read(name: "pin" | "officerPin", info: TokenInfo): Promise<Uint8Array> {
    const place = this.#places.find(({ token, [name]: secret }) => secret !== undefined && isToken(token, info));
    const secret = place?.[name];
    if (!secret) throw new TokenError("NO_PIN_SOURCE", `the configuration names no ${name} for ${info.uri}`);
    if ("environment" in secret) {
      const value = this.#env[secret.environment];
      if (value !== undefined) return secretUtf8(value);
      throw new TokenError("NO_PIN_SOURCE", `the environment variable ${secret.environment} is not set`);
    }
    return readSecret(secret.file);
  }
}

/** The first line of a file. */
async function readSecret(file: string): Promise<Uint8Array> {
  const content = await readFile(file).catch((cause: unknown) => {
    throw new TokenError("NO_PIN_SOURCE", `${file} cannot be read`, { cause });
  });
  const end = content.findIndex((byte) => byte === 0x0a || byte === 0x0d);
  const pin = Uint8Array.from(end < 0 ? content : content.subarray(0, end));
  wipe(content);
  return pin;
}
