import { DataError, fromUtf8 } from "../bytes/index.ts";
import {
  choice,
  either,
  type FieldType,
  flag,
  integer,
  list,
  object,
  optional,
  PlanError,
  required,
  text,
} from "./fields.ts";

const DATE = text(/^\d{4}-\d{2}-\d{2}$/u, 'a date such as "2035-12-31"');
const FILE = text();

/** Where a secret comes from. */
const SECRET = either(
  choice("random", "prompt", "keep", "default"),
  object({
    random: optional(integer(4, 64), "draw one of this many digits (a management key: of its algorithm's length)"),
    file: optional(FILE, "the first line of this file"),
    clear: optional(text(), "the secret itself, for all to read who read the plan"),
  }),
);

const MANAGEMENT_KEY = object({
  value: required(SECRET, "where the key comes from; given keys are hexadecimal"),
  algorithm: optional(choice("3des", "aes-128", "aes-192", "aes-256"), "default: aes-256 for a random key"),
  protectedByPin: optional(flag, "keep the key on the card too, where the PIN opens it, as ykman does"),
});

const FASCN = object({
  agency: required(text(/^\d{4}$/u, "4 digits"), "agency code; 9999 outside the government"),
  system: required(text(/^\d{4}$/u, "4 digits"), "system code"),
  credential: required(text(/^\d{6}$/u, "6 digits"), "credential number"),
  person: optional(text(/^\d{10}$/u, "10 digits"), "the person's number"),
  organisation: optional(text(/^\d{4}$/u, "4 digits"), "the organisation's number"),
});

const CERTIFICATE = object({
  kind: required(choice("self-signed", "request"), "a certificate that the key itself signs, or a request in a file"),
  subject: required(text(), 'such as "CN=Ada Lovelace,O=Example"; {serial} and the names of --set are replaced'),
  san: optional(list(text()), "subject alternative names, as --san takes them"),
  for: optional(choice("smart-card-logon", "client-login", "signing"), "key usages for this purpose"),
  keyUsage: optional(list(text()), "in place of those of the purpose, as --key-usage takes them"),
  extendedKeyUsage: optional(list(text()), "in place of those of the purpose, as --extended-key-usage takes them"),
  days: optional(integer(1, 36_525), "of a self-signed certificate; default: 365"),
});

const KEY = object({
  slot: optional(text(/^(?:9[acde]|8[2-9a-f]|9[0-5])$/iu, "9a, 9c, 9d, 9e, or 82 to 95"), "the place on a PIV card"),
  id: optional(text(/^(?:[0-9a-f]{2}){1,32}$/iu, "hexadecimal digits"), "the CKA_ID on any other card"),
  label: optional(text(), "the CKA_LABEL, where the card has one"),
  algorithm: required(
    choice("rsa2048", "rsa3072", "rsa4096", "p256", "p384", "ed25519", "x25519"),
    "the type of key that the card makes",
  ),
  pinPolicy: optional(choice("never", "once", "always"), "when a YubiKey wants the PIN"),
  touchPolicy: optional(choice("never", "always", "cached"), "when a YubiKey wants a touch"),
  certificate: optional(CERTIFICATE, "what is made with the key"),
});

const PLAN = object({
  plan: required(integer(1, 1), "the version of this format: 1"),
  name: optional(text(), "what the plan is for; it stands in the transcript"),
  card: required(
    object({
      kind: required(choice("yubikey", "piv", "pkcs15"), "any other card is refused before anything is changed"),
      model: optional(text(), "the token's model, as cryptoki tokens shows it"),
      firmware: optional(text(/^\d+(?:\.\d+){0,2}$/u, 'a version such as "5.4"'), "the least version of the device"),
    }),
    "the cards that the plan is for",
  ),
  reset: optional(flag, "make the card as the factory made it first: everything on it is destroyed"),
  pin: optional(SECRET, "the holder's PIN"),
  puk: optional(SECRET, "the PUK, which unblocks the PIN"),
  managementKey: optional(MANAGEMENT_KEY, "the management key of a PIV card"),
  soPin: optional(SECRET, "the security officer's PIN of any other card"),
  weak: optional(choice("warn", "refuse"), "what happens with secrets that everybody guesses; default: warn"),
  tries: optional(
    object({
      pin: required(integer(1, 255), "wrong PINs until it is blocked"),
      puk: required(integer(1, 255), "wrong PUKs until it is blocked"),
    }),
    "how many tries the secrets have; the device sets both to the factory's with it, so pin and puk must be new",
  ),
  label: optional(text(), "the token's label, where the card has one"),
  chuid: optional(
    object({
      guid: optional(
        text(/^(?:random|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/iu, "random, or a UUID"),
        "default: random",
      ),
      fascn: optional(FASCN, "default: the number of issuers outside the government"),
      expires: optional(DATE, "default: in ten years"),
    }),
    "the Card Holder Unique Identifier of a PIV card, unsigned",
  ),
  ccc: optional(flag, "write a card capability container on a PIV card"),
  printedInformation: optional(
    object({
      name: required(text(), "the holder's name"),
      affiliation: optional(text(), "at most 20 bytes"),
      expires: optional(DATE, "the end of the card's validity"),
      serial: optional(text(), "at most 20 bytes"),
      issuer: optional(text(), "at most 15 bytes"),
    }),
    "what is printed on a PIV card; the holder's PIN opens it",
  ),
  keys: optional(list(KEY), "the keys that the card makes"),
  attestation: optional(
    object({ roots: required(FILE, "certificates of the maker, PEM: every chain must end at one of them") }),
    "check the proof that the card made its keys",
  ),
  secrets: optional(
    object({ sealTo: required(FILE, "a certificate, PEM: only the owner of its key reads the secrets") }),
    "seal the secrets when the card is done",
  ),
  transcript: optional(
    object({ signWith: required(FILE, "a private key, PEM (RSA, EC or Ed25519)") }),
    "sign the transcript",
  ),
});

/** What a card is to be. Files are named relative to the plan. */
export type Plan = FieldType<typeof PLAN>;
export type PlannedSecret = FieldType<typeof SECRET>;
export type PlannedKey = FieldType<typeof KEY>;
export type PlannedCertificate = FieldType<typeof CERTIFICATE>;

/** The JSON schema of a plan (draft 2020-12). */
export const planSchema: Readonly<Record<string, unknown>> = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "A plan for cryptoki card setup",
  ...PLAN.schema,
};

/**
 * Reads a plan.
 * @throws {PlanError} that names the field, and the nearest known one for a field that there is not.
 */
export function readPlan(bytes: Uint8Array): Plan {
  let value: unknown;
  try {
    value = JSON.parse(fromUtf8(bytes));
  } catch (cause) {
    if (!(cause instanceof SyntaxError || cause instanceof DataError)) throw cause;
    throw new PlanError("the plan is not JSON in UTF-8", { cause });
  }
  const plan = PLAN.read(value, "");
  checkTogether(plan);
  return plan;
}

const SECRETS = ["pin", "puk", "soPin"] as const;

/** What no single field shows. */
function checkTogether(plan: Plan): void {
  const isPiv = plan.card.kind !== "pkcs15";
  for (const name of SECRETS) checkSecret(plan[name], name);
  checkSecret(plan.managementKey?.value, "managementKey.value");
  const only = isPiv
    ? (["soPin", "label"] as const)
    : (["managementKey", "chuid", "ccc", "printedInformation"] as const);
  for (const name of only) {
    if (plan[name] !== undefined) throw new PlanError(`${name}: a card of the kind ${plan.card.kind} has none`);
  }
  if (plan.tries && !(isNew(plan.pin) && isNew(plan.puk))) {
    throw new PlanError(
      "tries: the device sets PIN and PUK to the factory's with the tries; give pin and puk new values",
    );
  }
  if (plan.managementKey?.protectedByPin && plan.printedInformation) {
    throw new PlanError("managementKey.protectedByPin: the key is kept in the data object of the printed information");
  }
  if (plan.managementKey && !isNew(plan.managementKey.value) && plan.managementKey.protectedByPin !== undefined) {
    throw new PlanError("managementKey.protectedByPin: only a new key is protected; give managementKey.value one");
  }
  for (const [index, key] of (plan.keys ?? []).entries()) checkKey(plan, key, `keys[${index}]`);
}

function checkSecret(secret: PlannedSecret | undefined, path: string): void {
  if (typeof secret !== "object") return;
  if (Object.keys(secret).length !== 1) throw new PlanError(`${path}: give one of random, file and clear`);
}

function checkKey({ card, keys = [] }: Plan, key: PlannedKey, path: string): void {
  const isPiv = card.kind !== "pkcs15";
  if (isPiv !== (key.slot !== undefined)) {
    throw new PlanError(
      isPiv
        ? `${path}.slot: it is missing: a PIV card's keys have places`
        : `${path}.slot: only PIV cards have slots; use id`,
    );
  }
  if (isPiv && key.id !== undefined) throw new PlanError(`${path}.id: a PIV card's keys are named by slot`);
  if (!isPiv && key.id === undefined) throw new PlanError(`${path}.id: it is missing: the key's CKA_ID`);
  const place = (one: PlannedKey): string | undefined => (one.slot ?? one.id)?.toLowerCase();
  if (keys.find((one) => place(one) === place(key)) !== key)
    throw new PlanError(`${path}: another key has this place already`);
  if (key.algorithm === "x25519" && key.certificate) {
    throw new PlanError(`${path}.certificate: an X25519 key agrees on secrets, and cannot sign`);
  }
  if (key.certificate?.kind === "request" && key.certificate.days !== undefined) {
    throw new PlanError(`${path}.certificate.days: the authority decides how long a requested certificate is valid`);
  }
}

/** Whether a plan sets a secret that the card does not have yet. */
export function isNew(secret: PlannedSecret | undefined): boolean {
  return secret !== undefined && secret !== "keep" && secret !== "default";
}
