import {
  type CK_TOKEN_INFO,
  type CryptokiFunctions,
  formatUri,
  matchesToken,
  parseUri,
  type Pkcs11Uri,
  type TokenDescription,
  tokenUri,
} from "../cryptoki/index.ts";
import { refusal } from "./error.ts";

/** A slot with the token in it, as PKCS #11 URIs describe both. */
export interface FoundToken {
  readonly description: TokenDescription;
  readonly info: CK_TOKEN_INFO;
}

/** The token in a slot. Costs what C_GetTokenInfo costs. */
export async function tokenIn(cryptoki: CryptokiFunctions, slotID: number): Promise<FoundToken> {
  const slot = await cryptoki.C_GetSlotInfo(slotID);
  const info = await cryptoki.C_GetTokenInfo(slotID);
  return {
    info,
    description: {
      slotID,
      slotDescription: slot.slotDescription,
      slotManufacturerID: slot.manufacturerID,
      label: info.label,
      manufacturerID: info.manufacturerID,
      model: info.model,
      serialNumber: info.serialNumber,
    },
  };
}

/**
 * The token that a PKCS #11 URI describes; without one, the only token that there is.
 * @throws {DOMException} NotFoundError if there is none; DataError if there are several, since a PIN must not go to the wrong one.
 */
export async function findToken(cryptoki: CryptokiFunctions, uri?: string): Promise<FoundToken> {
  const wanted: Pkcs11Uri = uri === undefined ? {} : parseUri(uri);
  const found: FoundToken[] = [];
  for (const slotID of await cryptoki.C_GetSlotList(true)) {
    if (wanted.slotId !== undefined && wanted.slotId !== slotID) continue;
    const token = await tokenIn(cryptoki, slotID);
    if (matchesToken(wanted, token.description)) found.push(token);
  }
  const [only, ...others] = found;
  if (!only) throw refusal("NotFoundError", uri === undefined ? "there is no token" : "no token fits the URI");
  if (others.length > 0) {
    const uris = found.map(({ description }) => formatUri(tokenUri(description)));
    throw refusal("DataError", `${found.length} tokens fit; name one of them: ${uris.join(" ")}`);
  }
  return only;
}
