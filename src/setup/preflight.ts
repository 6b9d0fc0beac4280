import { parseCertificate } from "../asn1/index.ts";
import { encodePem, equalBytes, toHex } from "../bytes/index.ts";
import { type CardDeviceInfo, CardError, type CardPrivateKey, type CardToken, type PinStatus } from "../card/index.ts";
import { PlanError } from "./fields.ts";
import { isNew, type Plan, type PlannedKey, type PlannedSecret } from "./plan.ts";
import type { SetupCard } from "./tools.ts";

/** The card is not one that the plan can be carried out on; nothing was changed. */
export class SetupRefusedError extends Error {
  override readonly name = "SetupRefusedError";
}

/** What a card is before it is set up. */
export interface CardState {
  readonly serial: string;
  readonly model: string;
  readonly device: CardDeviceInfo | undefined;
  readonly pin: PinStatus;
  /** Whether it holds keys or certificates, or has a PIN or a management key of its own. */
  readonly inService: boolean;
}

/** What is read of a card, without a PIN. */
export async function lookAt({ token }: SetupCard): Promise<CardState> {
  const { serialNumber, model } = await token.info();
  const device = await token.deviceInfo?.();
  const pin = await token.pinStatus("user", true);
  const isOwn =
    device?.hasDefaultPin === false || device?.hasDefaultPuk === false || device?.hasDefaultOfficerKey === false;
  return {
    serial: device?.serial ?? serialNumber,
    model,
    device,
    pin,
    inService: isOwn || (await holdsKeys(token)),
  };
}

async function holdsKeys(token: CardToken): Promise<boolean> {
  for (const object of await token.objects(["private-key", "certificate"])) {
    // A certificate that cannot be deleted is the maker's.
    if (object.class === "certificate" && object.destroyable !== true) continue;
    if (await object.isPresent({ explicitlyRequested: false })) return true;
  }
  return false;
}

const KINDS = { yubikey: "a YubiKey", piv: "a PIV card", pkcs15: "a PKCS #15 card" } as const;

/** @throws {SetupRefusedError} for a card of another kind than the plan's. */
export function checkKind({ card: wanted }: Plan, card: SetupCard, { model, device }: CardState): void {
  const kind =
    card.profile === "piv" && wanted.kind === "yubikey" ? (card.isYubiKey ? "yubikey" : "piv") : card.profile;
  if (kind !== wanted.kind) {
    const found = kind === "piv" || kind === "pkcs15" ? KINDS[kind] : `a card of the kind ${kind}`;
    throw new SetupRefusedError(`the plan is for ${KINDS[wanted.kind]}, and this is ${found}; nothing was changed`);
  }
  if (wanted.model !== undefined && wanted.model !== model) {
    throw new SetupRefusedError(
      `the plan is for cards of the model ${wanted.model}, and this is a ${model}; nothing was changed`,
    );
  }
  if (wanted.firmware !== undefined && !isAtLeast(device?.firmware, wanted.firmware)) {
    const found = device?.firmware === undefined ? "does not tell its firmware" : `has firmware ${device.firmware}`;
    throw new SetupRefusedError(
      `the plan wants firmware ${wanted.firmware} or later, and the card ${found}; nothing was changed`,
    );
  }
}

function isAtLeast(version: string | undefined, least: string): boolean {
  if (version === undefined) return false;
  const [numbers, wanted] = [version, least].map((text) => text.split(".").map(Number));
  for (let index = 0; index < 3; index++) {
    const difference = (numbers?.[index] ?? 0) - (wanted?.[index] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}

/** Fields of a plan, and what a token needs for them. */
const NEEDS: readonly (readonly [
  name: string,
  isWanted: (plan: Plan) => boolean,
  can: (token: CardToken) => boolean,
])[] = [
  ["reset", ({ reset }) => reset === true, (token) => token.erase !== undefined || token.initToken !== undefined],
  ["pin", ({ pin }) => isNew(pin), (token) => token.changePin !== undefined || token.initPin !== undefined],
  ["puk", ({ puk }) => isNew(puk), (token) => token.changePin !== undefined || token.initToken !== undefined],
  ["soPin", ({ soPin }) => isNew(soPin), (token) => token.changePin !== undefined || token.initToken !== undefined],
  ["managementKey", ({ managementKey }) => isNew(managementKey?.value), (token) => token.setOfficerKey !== undefined],
  ["tries", ({ tries }) => tries !== undefined, (token) => token.setPinTries !== undefined],
  ["label", ({ label }) => label !== undefined, (token) => token.setLabel !== undefined],
  ["chuid", ({ chuid }) => chuid !== undefined, (token) => token.createObject !== undefined],
  ["keys", ({ keys = [] }) => keys.length > 0, (token) => token.generateKeyPair !== undefined],
  ["attestation", ({ attestation }) => attestation !== undefined, (token) => token.attestKey !== undefined],
];

/**
 * Refuses, by its name, what a plan wants and the card cannot.
 * @throws {SetupRefusedError}
 */
export function checkAbilities(plan: Plan, { token, isYubiKey }: SetupCard, { device }: CardState): void {
  for (const [name, isWanted, can] of NEEDS) {
    if (isWanted(plan) && !can(token)) throw cannot(name, "this card cannot do that from here");
  }
  const hasYubicoCommands = token.erase === undefined || device?.firmware !== undefined;
  for (const name of ["reset", "managementKey", "tries", "attestation"] as const) {
    if (hasYubicoCommands || plan[name] === undefined || plan[name] === false) continue;
    throw cannot(name, "only cards with Yubico's commands can do that");
  }
  checkPolicies(plan, token, hasYubicoCommands);
  if (!plan.reset && isNew(plan.pin) && device?.officerKeyStorage === "derived" && !isNew(plan.managementKey?.value)) {
    throw cannot(
      "managementKey.value",
      "the card's key is derived from the PIN, which the plan changes; set a new one",
    );
  }
  if (plan.chuid && device?.serial === undefined && !isYubiKey) {
    throw cannot(
      "chuid",
      "this card's serial number is made from it, and an interrupted setup would not find its transcript",
    );
  }
}

/** @throws {SetupRefusedError} for policies on a card whose keys have none of their own. */
function checkPolicies(plan: Plan, token: CardToken, hasYubicoCommands: boolean): void {
  for (const [index, key] of (plan.keys ?? []).entries()) {
    const named = key.pinPolicy ?? key.touchPolicy;
    if (named !== undefined && (!token.newKeyAttributes || !hasYubicoCommands)) {
      throw cannot(
        `keys[${index}].${key.pinPolicy === undefined ? "touchPolicy" : "pinPolicy"}`,
        "this card's keys have no policies of their own",
      );
    }
  }
}

const cannot = (field: string, why: string): SetupRefusedError =>
  new SetupRefusedError(`${field}: ${why}; nothing was changed`);

type Named = "pin" | "puk" | "managementKey";

const WORDS: Readonly<Record<Named, string>> = { pin: "PIN", puk: "PUK", managementKey: "management key" };

/**
 * What a plan leaves as the factory set it must be said there.
 * @returns Warnings.
 * @throws {SetupRefusedError}
 */
export function checkDefaults(plan: Plan, { device }: CardState): string[] {
  const warnings: string[] = [];
  const left: readonly (readonly [Named, PlannedSecret | undefined, boolean | undefined])[] = [
    ["pin", plan.pin, device?.hasDefaultPin],
    ["puk", plan.puk, device?.hasDefaultPuk],
    ["managementKey", plan.managementKey?.value, device?.hasDefaultOfficerKey],
  ];
  for (const [name, secret, isDefault] of left) {
    if (isNew(secret)) continue;
    const field = name === "managementKey" ? "managementKey.value" : name;
    const willBe = plan.reset === true ? true : isDefault;
    if (secret === "default") {
      if (willBe === false) throw cannot(field, `the card has a ${WORDS[name]} of its own; "keep" leaves it`);
      warnings.push(`the ${WORDS[name]} stays the one that every new card has`);
    } else if (willBe) {
      throw cannot(
        field,
        `the ${WORDS[name]} would stay the one that every new card has; set one, or say "default" if that is meant`,
      );
    }
  }
  return warnings;
}

/** A key's place, as the plan and the transcript name it. */
export const placeOf = (key: PlannedKey): string => (key.slot ?? key.id ?? "").toLowerCase();

const REFERENCES = ["9a", "9c", "9d", "9e", ...Array.from({ length: 20 }, (_, index) => (0x82 + index).toString(16))];

/** The CKA_ID of a planned key (PIV: 1 for 9A, to 24 for 95). */
export function idOf(key: PlannedKey): Uint8Array {
  const place = placeOf(key);
  if (key.slot !== undefined) return Uint8Array.of(REFERENCES.indexOf(place) + 1);
  return Uint8Array.from(place.match(/../gu) ?? [], (digits) => Number.parseInt(digits, 16));
}

/** @throws {PlanError} for a file of roots without a certificate. */
export function requireRoots(roots: readonly Uint8Array[]): readonly Uint8Array[] {
  if (roots.length === 0) throw new PlanError("attestation.roots: the file holds no certificate");
  return roots;
}

/** The object of a planned key, whether the key is on the card or not; undefined if the card has no place for it. */
export async function keyObject(token: CardToken, key: PlannedKey): Promise<CardPrivateKey | undefined> {
  const id = idOf(key);
  const objects = await token.objects(["private-key"]);
  return objects.find((object) => object.class === "private-key" && equalBytes(object.id, id)) as
    CardPrivateKey | undefined;
}

/**
 * The key in a place, SubjectPublicKeyInfo in hexadecimal: as the card shows it, or as it attests it, because old YubiKeys show keys only by
 * their certificates. Undefined if there is none.
 */
export async function keyOnCard(token: CardToken, key: PlannedKey): Promise<string | undefined> {
  const object = await keyObject(token, key);
  if (!object) return undefined;
  if (await object.isPresent({ explicitlyRequested: true })) return toHex(await object.publicKey());
  try {
    const attestation = await token.attestKey?.(object);
    return attestation && toHex(parseCertificate(attestation.certificate).subjectPublicKeyInfo);
  } catch (error) {
    if (error instanceof CardError) return undefined;
    throw error;
  }
}

/** Whether this certificate, PEM, is beside a planned key. */
export async function holdsCertificate(token: CardToken, key: PlannedKey, pem: string): Promise<boolean> {
  for (const object of await token.objects(["certificate"])) {
    if (object.class !== "certificate" || !equalBytes(object.id, idOf(key))) continue;
    if (!(await object.isPresent({ explicitlyRequested: true }))) continue;
    if (encodePem("CERTIFICATE", await object.value()) === pem) return true;
  }
  return false;
}

/** Where a key is on the card, as messages name it. */
export const placeName = (key: PlannedKey): string =>
  key.slot === undefined ? `id ${toHex(idOf(key))}` : key.slot.toUpperCase();
