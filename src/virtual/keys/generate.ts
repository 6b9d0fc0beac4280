import { generateKeyPair, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import { inThreadPool } from "../../async/index.ts";
import type { KeyTypeInfo } from "./key-type.ts";

const generate = promisify(generateKeyPair);

/** A fresh private key. */
export async function generateKey(info: KeyTypeInfo): Promise<KeyObject> {
  const work =
    info.type === "rsa" ? generate("rsa", { modulusLength: info.bits }) : generate("ec", { namedCurve: info.curve });
  return (await inThreadPool(work)).privateKey;
}
