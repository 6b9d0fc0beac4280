import { type CommandApdu, isExecutionError, type ResponseApdu, StatusError, SW } from "../apdu/index.ts";
import type { CallOptions } from "../async/index.ts";
import { equalBytes, toHex, wipe } from "../bytes/index.ts";
import {
  type CardObject,
  type CardPrivateKey,
  type GeneratedKeyPair,
  isNotFound,
  type KeyAttestation,
  type KeyPairRequest,
  type NewCardObject,
  type NewVendorAttributes,
  ObjectGoneError,
  unlessRefused,
  UnsupportedError,
} from "../card/index.ts";
import { encodePublicKey, HostPrivateKey } from "../crypto/index.ts";
import { getData, readData } from "./commands.ts";
import { readCertificate } from "./data-objects.ts";
import { type KeySlot, referenceName } from "./keys.ts";
import type { SlotObjects } from "./objects.ts";
import { generate, readGenerated } from "./private-key.ts";
import type { PivSession } from "./session.ts";
import type { PivStore } from "./store.ts";
import {
  attest,
  ATTESTATION_CERTIFICATE,
  importKey,
  moveKey,
  type NewKeyPolicies,
  NOWHERE,
  readNewKeyPolicies,
} from "./yubico-admin.ts";
import { keyTypeName, pinPolicyOf } from "./yubico.ts";

/** Sends a command for which the card wants the management key first. @throws {LoginRequiredError} if it was not given. */
export type AdministratorExchange = (
  command: CommandApdu,
  name: string,
  options?: CallOptions,
) => Promise<ResponseApdu>;

/** Makes keys on a card, and brings them there; a key that is in the place already gives way. */
export class KeyAdministration {
  readonly #store: PivStore;
  readonly #slots: readonly SlotObjects[];
  readonly #send: AdministratorExchange;

  constructor(store: PivStore, slots: readonly SlotObjects[], send: AdministratorExchange) {
    this.#store = store;
    this.#slots = slots;
    this.#send = send;
  }

  async generate({ type, id, vendorAttributes }: KeyPairRequest, options?: CallOptions): Promise<GeneratedKeyPair> {
    const place = this.#slots.find((objects) => id && equalBytes(objects.privateKey.id, id));
    if (!place) {
      throw new UnsupportedError(`${NO_SUCH_KEY}; ${await this.#freePlaces()}`, id ? {} : { lacks: "id" });
    }
    const { slot } = place;
    const policies = this.#readPolicies(vendorAttributes);
    const { data, sw } = await this.#send(generate(slot, type, policies), "GENERATE", options);
    if (sw !== SW.OK) {
      const cause = new StatusError("GENERATE ASYMMETRIC KEY PAIR", sw);
      if (NO_SUCH_PLACE.has(sw)) {
        const refused = `the card cannot generate a key in ${referenceName(slot)}, which CKA_ID ${toHex(place.privateKey.id)} names`;
        throw new UnsupportedError(`${refused}; ${await this.#freePlaces(slot)}`, { cause });
      }
      // SP 800-73-4 part 2 section 3.3.2: an algorithm that the card does not have.
      if (sw === SW.WRONG_DATA)
        throw new UnsupportedError(`the card cannot generate ${keyTypeName(type)} keys`, { cause });
      throw cause;
    }
    this.#store.made(slot, readGenerated(type, data), pinPolicyOf(policies.pin));
    return { privateKey: place.privateKey, publicKey: place.publicKey };
  }

  /** Takes in the public half of a key that the card does not show: SubjectPublicKeyInfo, DER. */
  remember(id: Uint8Array, publicKey: Uint8Array): Promise<void> {
    const place = this.#slots.find(({ privateKey }) => equalBytes(privateKey.id, id));
    if (!place) return Promise.reject(new UnsupportedError("a PIV card has no place for a key with this identifier"));
    this.#store.keep(place.slot, publicKey);
    return Promise.resolve();
  }

  /** Proves that a key was made on the card: no login is needed. */
  async attest(session: PivSession, slot: KeySlot, options?: CallOptions): Promise<KeyAttestation> {
    const certificate = await requestAttestation(session, slot, options);
    const ofSigner = await session.run((send) => send(getData(ATTESTATION_CERTIFICATE)), options);
    const value = ofSigner.sw === SW.OK ? readData(ATTESTATION_CERTIFICATE, ofSigner.data) : undefined;
    return { certificate, chain: value ? [await readCertificate(value)] : [] };
  }

  /** Moves the key in `from` to the place that another CKA_ID names. */
  async move(from: KeySlot, id: Uint8Array, options?: CallOptions): Promise<void> {
    const to = this.#slots.find(({ privateKey }) => equalBytes(privateKey.id, id))?.slot;
    if (!to) throw new UnsupportedError(NO_SUCH_KEY);
    if (to === from) throw new UnsupportedError(`the key is in ${referenceName(to)} already`);
    await this.#move(from, to.reference, options);
    this.#store.forgetKey(to);
  }

  /**
   * Changes the CKA_ID of the key in `from`: moves it to the place that `id` names.
   * @returns The key there.
   * @throws {UnsupportedError} also if there is a key already.
   */
  async rename(from: KeySlot, id: Uint8Array, options?: CallOptions): Promise<CardPrivateKey> {
    const place = this.#slots.find(({ privateKey }) => equalBytes(privateKey.id, id));
    if (!place) throw new UnsupportedError(NO_SUCH_KEY);
    if (place.slot !== from && (await place.privateKey.isPresent({ explicitlyRequested: true }))) {
      throw new UnsupportedError(`there is a key in ${referenceName(place.slot)} already: destroy it first`);
    }
    await this.move(from, id, options);
    return place.privateKey;
  }

  /** Takes the key in `slot` off the card; its certificate stays. */
  delete(slot: KeySlot, options?: CallOptions): Promise<void> {
    return this.#move(slot, NOWHERE, options);
  }

  async #move(from: KeySlot, to: number, options?: CallOptions): Promise<void> {
    const { sw } = await this.#send(moveKey(from.reference, to), "MOVE KEY", options);
    if (sw === SW.OK) {
      this.#store.forgetKey(from);
      return;
    }
    const cause = new StatusError("MOVE KEY", sw);
    if (isNotFound(sw)) throw new ObjectGoneError(`there is no key in ${referenceName(from)}`, { cause });
    if (sw === SW.INSTRUCTION_NOT_SUPPORTED) throw new UnsupportedError(NO_MOVE, { cause });
    throw cause;
  }

  /** @throws {UnsupportedError} for policies on a card without Yubico's commands, whose keys are all as the standard has them. */
  #readPolicies(attributes: NewVendorAttributes | undefined): NewKeyPolicies {
    const policies = readNewKeyPolicies(attributes);
    if (attributes && !this.#store.reports.hasYubicoCommands) throw new UnsupportedError(NO_POLICIES);
    return policies;
  }

  /** Brings a private key to the place that its CKA_ID names; a key that is there gives way. */
  async import(object: NewCardObject & { readonly class: "private-key" }, options?: CallOptions): Promise<CardObject> {
    const place = this.#slots.find(({ privateKey }) => equalBytes(privateKey.id, object.id));
    if (!place) throw new UnsupportedError(NO_SUCH_KEY);
    if (!this.#store.reports.hasYubicoCommands) throw new UnsupportedError(NO_IMPORT);
    const policies = this.#readPolicies(object.vendorAttributes);
    const key = HostPrivateKey.fromPkcs8(object.privateKey);
    const { slot } = place;
    const command = importKey(slot.reference, key, policies);
    try {
      const { sw } = await this.#send(command, "IMPORT ASYMMETRIC KEY", options);
      if (sw !== SW.OK) throw new StatusError("IMPORT ASYMMETRIC KEY", sw);
    } finally {
      if (command.data) wipe(command.data);
      key.wipe();
    }
    this.#store.imported(slot, encodePublicKey(key.publicKey), pinPolicyOf(policies.pin));
    return place.privateKey;
  }

  /**
   * The places that have no key yet, for an error. The standard makes keys in the four named places; in the others only cards with
   * Yubico's commands do.
   * @param refused A place that the card turned out not to have: of a retired key, no such place has it.
   */
  async #freePlaces(refused?: KeySlot): Promise<string> {
    const withRetired = this.#store.reports.hasYubicoCommands && refused?.retired === undefined;
    const free: string[] = [];
    for (const { slot, privateKey } of this.#slots) {
      if (slot === refused || (slot.retired !== undefined && !withRetired)) continue;
      const taken = await unlessRefused(() => privateKey.isPresent({ explicitlyRequested: true }));
      if (taken === false) free.push(`${toHex(privateKey.id)} (${referenceName(slot)})`);
    }
    return free.length === 0
      ? "no slot is free: generating a key replaces an existing one"
      : `free: CKA_ID ${free.join(", ")}`;
  }
}

/** The card's certificate for a key that was made on it. @throws {UnsupportedError} for any other key. */
export async function requestAttestation(
  session: PivSession,
  slot: KeySlot,
  options?: CallOptions,
): Promise<Uint8Array> {
  const { data, sw } = await session.run((send) => send(attest(slot.reference)), options);
  if (sw === SW.OK) return data;
  const cause = new StatusError("ATTEST", sw);
  if (isExecutionError(sw)) throw cause;
  if (sw === SW.INSTRUCTION_NOT_SUPPORTED) throw new UnsupportedError("this card does not attest keys", { cause });
  const name = referenceName(slot);
  throw new UnsupportedError(`the card does not attest key ${name}: there is none, or it was brought there`, { cause });
}

/** How cards refuse to make a key in a place that they do not have (SP 800-73-4 part 2 section 3.3.2). */
const NO_SUCH_PLACE: ReadonlySet<number> = new Set([
  SW.INCORRECT_P1_P2,
  SW.REFERENCED_DATA_NOT_FOUND,
  SW.FUNCTION_NOT_SUPPORTED,
]);

const NO_SUCH_KEY = "a PIV card has keys of CKA_ID 01 to 18 only: 9A, 9C, 9D, 9E and 82 to 95";
const NO_MOVE =
  "keys on this card stay until others are made in their places; YubiKeys move and delete them from firmware 5.7 on";
const NO_POLICIES =
  "this card has no PIN and touch policies of its own: only cards with Yubico's commands take them; leave them out";
const NO_IMPORT =
  "this driver imports private keys to PIV cards with Yubico's commands only; generate the key on the card";
