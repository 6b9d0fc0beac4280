import { concatSecret, copySecret, countUtf8, DataError, secretBytes, wipe } from "../../bytes/index.ts";
import { PinError, type PinInfo } from "../../card/index.ts";
import { PIN_FLAG, type PinEntry } from "../syntax/authentication.ts";

/** Two digits, or one and a filler, in a byte. */
const FILLER = 0x0f;
const HEXADECIMAL = "0123456789abcdef";
/** ISO 9564-1 section 9.3.3: format 2 has 4 to 12 digits in 8 bytes. */
const FORMAT_2 = { control: 0x20, length: 8, minDigits: 4, maxDigits: 12 } as const;

/** The bounds of a PIN in characters, from its AODF entry or implied by it. */
export function pinBounds(pin: PinEntry): Pick<PinInfo, "minLength" | "maxLength"> {
  const stored = isPacked(pin) ? 2 * pin.storedLength : pin.storedLength;
  const format2 = pin.type === "iso9564-1";
  const maxLength = format2
    ? Math.min(pin.maxLength ?? FORMAT_2.maxDigits, FORMAT_2.maxDigits)
    : (pin.maxLength ?? stored);
  return { minLength: format2 ? Math.max(pin.minLength, FORMAT_2.minDigits) : pin.minLength, maxLength };
}

/**
 * Encodes a PIN for its card (ISO/IEC 7816-15 section 8.9.2: PasswordType, needs-padding, padChar).
 * @param characters UTF-8.
 * @returns New bytes; the caller wipes them.
 * @throws {PinError} for an impossible length or character; nothing was sent to the card.
 */
export function encodePin(pin: PinEntry, characters: Uint8Array): Uint8Array {
  const name = pin.head.label || "PIN";
  const { minLength, maxLength } = pinBounds(pin);
  const count = characterCount(pin, characters, name);
  // An empty VERIFY is a query: it would succeed after another caller's PIN.
  if (count === 0 || count < minLength || count > maxLength) {
    throw new PinError("length", `${name} has ${minLength} to ${maxLength} characters; the card was not asked`);
  }
  const encoded = encode(pin, characters, name);
  const padTo = pin.flags.has(PIN_FLAG.NEEDS_PADDING) ? pin.storedLength : 0;
  if (encoded.length >= padTo) return encoded;
  const padded = concatSecret(encoded, new Uint8Array(padTo - encoded.length).fill(pin.padding ?? 0x00));
  wipe(encoded);
  return padded;
}

/** As {@link encodePin}, for a new PIN: an impossible value is not a wrong PIN, but one that is not allowed. */
export function encodeNewPin(pin: PinEntry, characters: Uint8Array): Uint8Array {
  try {
    return encodePin(pin, characters);
  } catch (error) {
    if (!(error instanceof PinError && error.reason === "characters")) throw error;
    throw new PinError("unacceptable", error.message, undefined, { cause: error });
  }
}

function characterCount(pin: PinEntry, characters: Uint8Array, name: string): number {
  if (pin.type !== "utf8") return characters.length;
  try {
    return countUtf8(characters);
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new PinError("characters", `${name} is not UTF-8; the card was not asked`, undefined, { cause });
  }
}

function encode(pin: PinEntry, characters: Uint8Array, name: string): Uint8Array {
  if (pin.type === "utf8") return copySecret(characters);
  if (pin.type === "hexadecimal") return packHexadecimal(characters, name);
  if (characters.some((octet) => octet < 0x30 || octet > 0x39)) {
    throw new PinError("characters", `${name} has digits only; the card was not asked`);
  }
  switch (pin.type) {
    case "ascii-numeric":
      return copySecret(characters);
    case "bcd":
      return pack(characters, (pin.padding ?? FILLER) & 0x0f);
    case "half-nibble-bcd":
      // Section 8.9.2: the digit in the lower half, F in the upper one.
      return mapSecret(characters, (octet) => 0xf0 | (octet & 0x0f));
    case "iso9564-1": {
      const digits = pack(characters, FILLER);
      const block = secretBytes(FORMAT_2.length).fill(0xff);
      block[0] = FORMAT_2.control | characters.length;
      block.set(digits, 1);
      wipe(digits);
      return block;
    }
  }
}

/** Whether a byte holds two characters. */
export function isPacked({ type }: PinEntry): boolean {
  return type === "bcd" || type === "hexadecimal";
}

function packHexadecimal(characters: Uint8Array, name: string): Uint8Array {
  const halves = mapSecret(characters, (octet) => HEXADECIMAL.indexOf(String.fromCharCode(octet).toLowerCase()) & 0xff);
  try {
    if (halves.length % 2 === 0 && !halves.includes(0xff)) return pack(halves, 0x00);
    throw new PinError("characters", `${name} has pairs of digits of 0 to 9 and A to F only; the card was not asked`);
  } finally {
    wipe(halves);
  }
}

/** A typed array's `map()` would make one on the moving heap. */
function mapSecret(secret: Uint8Array, change: (octet: number) => number): Uint8Array {
  const mapped = secretBytes(secret.length);
  for (const [index, octet] of secret.entries()) mapped[index] = change(octet);
  return mapped;
}

function pack(digits: Uint8Array, filler: number): Uint8Array {
  const packed = secretBytes(Math.ceil(digits.length / 2));
  for (const at of packed.keys()) {
    const low = digits[2 * at + 1];
    packed[at] = (((digits[2 * at] ?? 0) & 0x0f) << 4) | (low === undefined ? filler : low & 0x0f);
  }
  return packed;
}
