import { Extensions } from "./api/extensions.ts";

/**
 * The functions of PKCS#11 3.1 for smart cards. Each has the standard's name, takes the standard's inputs in the standard's order,
 * and returns what the standard puts out; what is not CKR_OK is thrown, as {@link CryptokiError} and as nothing else.
 *
 *     const cryptoki = new Cryptoki({ pcsc: new Pcscd(), profiles: [piv] });
 *     await cryptoki.C_Initialize();
 *     const [slot] = await cryptoki.C_GetSlotList(true);
 *     const session = await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION);
 *     await cryptoki.C_Login(session, CKU.USER, "123456");
 *     await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(1) });
 *     const [key] = await cryptoki.C_FindObjects(session);
 *     await cryptoki.C_FindObjectsFinal(session);
 *     await cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
 *     const signature = await cryptoki.C_Sign(session, data);
 *     await cryptoki.C_Finalize();
 *
 * One Cryptoki is one application of the standard: sessions, logins and session objects are its own. Several may share
 * {@link slots}, and with them the connections to the cards and all that was read from them. The `pcsc` stays its owner's to close.
 *
 * Any number of calls may be made at a time. Those on one session run one after the other, in the order in which they were made;
 * those on several sessions, tokens and cards at the same time, as far as one card can. A `signal` ends the wait for a turn, for
 * another program's transaction, and the exchange with the card: CKR_FUNCTION_CANCELED. What is read once for all goes on for the others.
 */
export class Cryptoki extends Extensions {}

/** The functions by themselves: what a module that is no card driver offers as well. */
export type CryptokiFunctions = {
  readonly [Name in keyof Cryptoki as Name extends `C_${string}` ? Name : never]: Cryptoki[Name];
};
