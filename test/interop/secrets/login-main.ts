/**
 * A program that logs in and out again and again through pcscd. Two PINs of 8 bytes, the right one and a wrong one, come on
 * standard input; it wipes its own copies before it says that it is done.
 */
import { readSync } from "node:fs";
import { CKF, CKR, CKU, Cryptoki, CryptokiError } from "../../../src/cryptoki/index.ts";
import { profiles } from "../../../src/index.ts";
import { Pcscd } from "../../../src/pcsc/index.ts";
import { PIN_LENGTH, ROUNDS, WRONG_ROUNDS } from "./rounds.ts";

const pins = new Uint8Array(new ArrayBuffer(2 * PIN_LENGTH));
for (let filled = 0; filled < pins.length;) filled += readSync(0, pins, filled, pins.length - filled, null);
const [right, wrong] = [pins.subarray(0, PIN_LENGTH), pins.subarray(PIN_LENGTH)];

const pcsc = new Pcscd();
const module = new Cryptoki({ pcsc, profiles });
await module.C_Initialize();
const [slot = 0] = await module.C_GetSlotList(true);
const session = await module.C_OpenSession(slot, CKF.SERIAL_SESSION);
for (let round = 0; round < ROUNDS; round++) {
  if (WRONG_ROUNDS.includes(round)) {
    const error: unknown = await module.C_Login(session, CKU.USER, wrong).catch((reason: unknown) => reason);
    if (!(error instanceof CryptokiError && error.rv === CKR.PIN_INCORRECT)) throw error;
  }
  await module.C_Login(session, CKU.USER, right);
  await module.C_Logout(session);
}
pins.fill(0);
process.send?.("done");
process.on("disconnect", () => process.exit());
