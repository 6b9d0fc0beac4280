import { VirtualFileCard } from "../iso7816/card.ts";
import { personalise, type Pkcs15CardOptions } from "./personalise.ts";

/**
 * An identity card in software: a PKCS #15 application with two PINs, a PUK for each, and keys, certificates and data objects
 * behind them. Its commands are those of ISO/IEC 7816-4, -8 and -9 in the dialect of MyEID and OsEID, which OpenSC knows, and
 * which has raw and padded RSA of all sizes, ECDSA and ECDH.
 */
export class VirtualPkcs15Card extends VirtualFileCard {
  /**
   * Makes a card. Defaults: PIN 123456 with PUK 12345678, signature PIN 654321 with PUK 87654321. Keys that are
   * not given take a while to make.
   * @throws {DataError} for a key, PIN or serial number that no card can hold.
   */
  static async create(options: Pkcs15CardOptions = {}): Promise<VirtualPkcs15Card> {
    return new VirtualPkcs15Card(await personalise(options));
  }
}
