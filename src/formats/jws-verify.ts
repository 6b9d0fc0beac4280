import type * as jose from "jose";
import type { PublicKey } from "../tokens/index.ts";
import { FormatError, messageOf } from "./error.ts";
import { algorithmsOf, type GeneralJws, type JoseHeader } from "./jws.ts";
import { loadLibrary } from "./library.ts";

export interface VerifiedJws {
  readonly payload: Uint8Array;
  readonly header: JoseHeader;
}

const loadJose = (): Promise<typeof jose> => loadLibrary("JOSE", ["jose"], () => import("jose"));

/**
 * Verifies a JWS with jose. The compact form has one signature. Of the general form, one signature must be the key's. An algorithm that is
 * not for keys of this type is refused.
 * @throws {FormatError} NOT_VALID, LIBRARY_MISSING.
 */
export async function verifyJws(jws: string | GeneralJws, publicKey: PublicKey): Promise<VerifiedJws> {
  const library = await loadJose();
  const options = { algorithms: [...algorithmsOf(publicKey.algorithm)] };
  try {
    // WebCrypto has a key for one algorithm; the key as JWK is for all of its type.
    const key = publicKey.toJwk();
    if (typeof jws === "string") {
      const { payload, protectedHeader } = await library.compactVerify(jws, key, options);
      return { payload, header: protectedHeader };
    }
    const general = { payload: jws.payload, signatures: [...jws.signatures] };
    const { payload, protectedHeader } = await library.generalVerify(general, key, options);
    return { payload, header: protectedHeader ?? {} };
  } catch (cause) {
    throw new FormatError("NOT_VALID", `the JWS does not verify: ${messageOf(cause)}`, { cause });
  }
}

/** What a token must say; jose checks it, with `exp` and `nbf`. */
export interface ClaimsOptions {
  readonly issuer?: string;
  readonly audience?: string;
}

/**
 * Verifies a JSON Web Token with jose, also that it is valid now.
 * @returns The claims.
 * @throws {FormatError} as {@link verifyJws}.
 */
export async function verifyJwt(
  jwt: string,
  publicKey: PublicKey,
  options: ClaimsOptions = {},
): Promise<Readonly<Record<string, unknown>>> {
  const library = await loadJose();
  try {
    const { payload } = await library.jwtVerify(jwt, publicKey.toJwk(), {
      ...options,
      algorithms: [...algorithmsOf(publicKey.algorithm)],
    });
    return payload;
  } catch (cause) {
    throw new FormatError("NOT_VALID", `the token does not verify: ${messageOf(cause)}`, { cause });
  }
}
