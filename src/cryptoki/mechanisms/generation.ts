import { wipe } from "../../bytes/index.ts";
import { hashLength, pbkdf2Hmac } from "../../crypto/index.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { invalid, readNoParameter } from "./parameters.ts";
import type { GenerationMechanism, GenerationRequest } from "./scheme.ts";
import { MAX_ITERATIONS, readPbkdf2Parameters } from "./symmetric-parameters.ts";

type Generate = GenerationMechanism["generate"];

/** Longer than any key. */
const MAX_KEY = 65_536;

/** Random bytes, as many as CKA_VALUE_LEN says. @param lengths Those that such keys can have; any, if left out. */
export const ofAnyLength =
  (lengths?: readonly number[]): Generate =>
  async (request) => {
    readNoParameter(request.parameter);
    return request.random(requireLength(request, lengths));
  };

/** A DES key, with odd parity in each byte (FIPS 46-3). */
export const desKey =
  (length: number): Generate =>
  async (request) => {
    readNoParameter(request.parameter);
    if (request.length !== undefined) requireLength(request, [length]);
    const key = await request.random(length);
    key.set(key.map(withOddParity));
    return key;
  };

/** CKM_PKCS5_PBKD2: a key out of a password. */
export const fromPassword: Generate = async (request) => {
  const { hash, password, salt, iterations } = readPbkdf2Parameters(request.parameter);
  try {
    const length = requireLength(request);
    // Each part as long as a hash takes all the iterations (RFC 8018 section 5.2).
    if (iterations * Math.ceil(length / hashLength(hash)) > MAX_ITERATIONS) {
      throw invalid(`${iterations} iterations are too many for a key of ${length} bytes`);
    }
    return await pbkdf2Hmac(hash, password, salt, iterations, length);
  } finally {
    wipe(password);
  }
};

function requireLength({ length }: GenerationRequest, lengths?: readonly number[]): number {
  if (length === undefined) throw new CryptokiError(CKR.TEMPLATE_INCOMPLETE, "CKA_VALUE_LEN says how long the key is");
  if (length < 1 || length > MAX_KEY || (lengths && !lengths.includes(length))) {
    const wanted = lengths?.join(", ") ?? `1 to ${MAX_KEY}`;
    throw new CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, `CKA_VALUE_LEN is ${length}; such keys have ${wanted} bytes`);
  }
  return length;
}

function withOddParity(byte: number): number {
  const upper = byte & 0xfe;
  let parity = upper;
  for (const shift of [4, 2, 1]) parity ^= parity >> shift;
  return upper | (~parity & 1);
}
