import { SerialQueue } from "../../async/index.ts";
import { CKF_SESSION } from "../constants/ckf.ts";
import { CKS } from "../constants/cks.ts";
import type { PinUser } from "../../card/index.ts";
import type { Token } from "../slots/token.ts";
import { cancelled } from "../error-map.ts";
import { Operations } from "./operations.ts";

/** A session of an application with a token. Calls on it run one after the other. */
export class Session {
  readonly handle: number;
  readonly token: Token;
  readonly readWrite: boolean;
  readonly operations = new Operations();
  readonly queue = new SerialQueue(cancelled);

  constructor(handle: number, token: Token, readWrite: boolean) {
    this.handle = handle;
    this.token = token;
    this.readWrite = readWrite;
  }

  /** {@link CKF_SESSION}. */
  get flags(): number {
    return CKF_SESSION.SERIAL_SESSION | (this.readWrite ? CKF_SESSION.RW_SESSION : 0);
  }

  /** {@link CKS}, given who is logged in to its token (PKCS#11 3.1, session states). */
  state(user: PinUser | undefined): number {
    if (user === "so") return CKS.RW_SO_FUNCTIONS;
    if (user === "user") return this.readWrite ? CKS.RW_USER_FUNCTIONS : CKS.RO_USER_FUNCTIONS;
    return this.readWrite ? CKS.RW_PUBLIC_SESSION : CKS.RO_PUBLIC_SESSION;
  }
}
