import { generateKeyPair, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import type { KeyTypeInfo } from "./key-type.ts";

const generate = promisify(generateKeyPair);

/** A fresh private key. */
export async function generateKey(info: KeyTypeInfo): Promise<KeyObject> {
  const pair =
    info.type === "rsa"
      ? await generate("rsa", { modulusLength: info.bits })
      : await generate("ec", { namedCurve: info.curve });
  return pair.privateKey;
}
