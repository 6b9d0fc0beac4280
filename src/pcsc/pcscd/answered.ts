import { Deadline } from "../../async/index.ts";
import { PcscError } from "../error.ts";
import type { Link } from "./link.ts";

/**
 * Milliseconds that the daemon may take for an answer that waits for neither card nor program. Generous: one that was
 * started just now may not tell its readers before the USB ones are initialised.
 */
const LONGEST_SILENCE = 10_000;

/**
 * The outcome of `work` over `link`; a daemon that is silent for too long loses the link.
 * @param milliseconds Default: 10,000, for requests that wait for neither a card nor another program.
 * @param asError What is outstanding fails with it. Default: SCARD_E_NO_SERVICE.
 */
export function answered<T>(
  link: Link,
  work: Promise<T>,
  milliseconds = LONGEST_SILENCE,
  asError = silentDaemon,
): Promise<T> {
  return new Deadline(milliseconds).race(work, () => {
    const error = asError(milliseconds);
    link.close(error);
    return error;
  });
}

function silentDaemon(milliseconds: number): PcscError {
  const detail = `pcscd did not answer for ${milliseconds / 1_000} seconds; restart it (systemctl restart pcscd)`;
  return new PcscError("SCARD_E_NO_SERVICE", detail);
}
