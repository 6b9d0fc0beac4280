import { type MemoizedAsync, memoizeAsync } from "../async/index.ts";
import {
  type CK_TOKEN_INFO,
  type CryptokiFunctions,
  formatUri,
  matchesToken,
  parseUri,
  type TokenDescription,
  tokenUri,
} from "../cryptoki/index.ts";
import { refusal } from "./error.ts";

/** A slot with a token in it. What is said of the token is asked for when somebody wants it: that costs exchanges with a card. */
export class Slot {
  readonly id: number;
  readonly #cryptoki: CryptokiFunctions;
  /** What PKCS #11 URIs describe; asked for once. */
  readonly describe: MemoizedAsync<TokenDescription>;

  constructor(cryptoki: CryptokiFunctions, id: number) {
    this.#cryptoki = cryptoki;
    this.id = id;
    this.describe = memoizeAsync(() => this.#describe());
  }

  /** As the token stands now. */
  info(): Promise<CK_TOKEN_INFO> {
    return this.#cryptoki.C_GetTokenInfo(this.id);
  }

  async #describe(): Promise<TokenDescription> {
    const { slotDescription, manufacturerID } = await this.#cryptoki.C_GetSlotInfo(this.id);
    const token = await this.info();
    return {
      slotID: this.id,
      slotDescription,
      slotManufacturerID: manufacturerID,
      label: token.label,
      manufacturerID: token.manufacturerID,
      model: token.model,
      serialNumber: token.serialNumber,
    };
  }
}

/**
 * The slot with the token that a PKCS #11 URI describes; without one, with the only token that there is.
 * @throws {DOMException} NotFoundError if there is none; DataError if there are several, since a PIN must not go to the wrong one.
 */
export async function findSlot(cryptoki: CryptokiFunctions, uri?: string): Promise<Slot> {
  const slots = (await cryptoki.C_GetSlotList(true)).map((id) => new Slot(cryptoki, id));
  const [only, ...others] = uri === undefined ? slots : await fitting(slots, uri);
  if (!only)
    throw refusal("NotFoundError", slots.length === 0 ? "there is no token" : `no such token; ${await named(slots)}`);
  if (others.length > 0) throw refusal("DataError", `several tokens fit, name one; ${await named([only, ...others])}`);
  return only;
}

async function fitting(slots: readonly Slot[], uri: string): Promise<Slot[]> {
  const wanted = parseUri(uri);
  const found: Slot[] = [];
  for (const slot of slots) {
    if (wanted.slotId !== undefined && wanted.slotId !== slot.id) continue;
    if (matchesToken(wanted, await slot.describe())) found.push(slot);
  }
  return found;
}

async function named(slots: readonly Slot[]): Promise<string> {
  const tokens = await Promise.all(slots.map((slot) => slot.describe()));
  return `there is ${tokens.map((token) => formatUri(tokenUri(token))).join(" and ")}`;
}
