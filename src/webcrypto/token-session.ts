import { SerialQueue } from "../async/index.ts";
import {
  type AttributeValues,
  AttributeError,
  type CryptokiFunctions,
  formatUri,
  type ObjectDescription,
  objectUri,
  type Template,
} from "../cryptoki/index.ts";
import { PinDesk, type PinSource } from "./pin-desk.ts";
import type { Slot } from "./slot.ts";

/** One session with a token. An operation of several calls has the session to itself, since a session knows one of each kind. */
export class TokenSession {
  readonly cryptoki: CryptokiFunctions;
  readonly handle: number;
  readonly slot: Slot;
  readonly pins: PinDesk;
  readonly #queue = new SerialQueue();

  constructor(cryptoki: CryptokiFunctions, handle: number, slot: Slot, pin?: PinSource) {
    this.cryptoki = cryptoki;
    this.handle = handle;
    this.slot = slot;
    this.pins = new PinDesk(cryptoki, handle, slot, pin);
  }

  /** Runs `work` when all that was queued before is done. `work` must not call this again: it would wait for itself. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    return this.#queue.run(work);
  }

  /** Handles of the objects that fit. */
  find(template: Template): Promise<number[]> {
    return this.exclusively(() => this.findInTurn(template));
  }

  /** The same within a turn. */
  async findInTurn(template: Template): Promise<number[]> {
    const { cryptoki, handle } = this;
    await cryptoki.C_FindObjectsInit(handle, template);
    try {
      return await cryptoki.C_FindObjects(handle);
    } finally {
      // What went wrong before matters more, and a search that cannot end is seen by the next.
      await cryptoki.C_FindObjectsFinal(handle).catch(() => undefined);
    }
  }

  /** The PKCS #11 URI of an object on this token. */
  async uri(object: ObjectDescription): Promise<string> {
    return formatUri(objectUri(await this.slot.describe(), object));
  }

  attributes<const Type extends number>(object: number, types: readonly Type[]): Promise<AttributeValues<Type>> {
    return this.cryptoki.C_GetAttributeValue(this.handle, object, types);
  }

  /** Those of the attributes that the object has and shows. */
  async known(object: number, types: readonly number[]): Promise<Template> {
    try {
      return await this.attributes(object, types);
    } catch (error) {
      if (error instanceof AttributeError) return error.values;
      throw error;
    }
  }
}
