import { generateKeyPair, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import { inThreadPool } from "../../async/index.ts";
import type { KeyTypeInfo } from "./key-type.ts";

const generate = promisify(generateKeyPair);

/** A fresh private key. */
export async function generateKey(info: KeyTypeInfo): Promise<KeyObject> {
  return (await inThreadPool(generatePair(info))).privateKey;
}

function generatePair(info: KeyTypeInfo): Promise<{ readonly privateKey: KeyObject }> {
  switch (info.type) {
    case "rsa":
      return generate("rsa", { modulusLength: info.bits });
    case "ec":
      return generate("ec", { namedCurve: info.curve });
    case "edwards":
      return generate("ed25519");
    case "montgomery":
      return generate("x25519");
  }
}
