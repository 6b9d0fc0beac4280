import { PcscError } from "../error.ts";
import type { Link } from "./link.ts";

/**
 * Milliseconds that the daemon may take for an answer that waits for neither card nor program. Generous: one that was
 * started just now may not tell its readers before the USB ones are initialised.
 */
const LONGEST_SILENCE = 10_000;

/**
 * What `work` over `link` comes to; a daemon that is silent for too long loses the link. Not for requests that wait for
 * a card or for another program, nor while one is outstanding on the same link: those take as long as they take.
 * @throws {PcscError} SCARD_E_NO_SERVICE when the daemon took the connection and does not answer.
 */
export async function answered<T>(link: Link, work: Promise<T>): Promise<T> {
  const timer = setTimeout(() => {
    const detail = `pcscd did not answer for ${LONGEST_SILENCE / 1_000} seconds; restart it (systemctl restart pcscd)`;
    link.close(new PcscError("SCARD_E_NO_SERVICE", detail));
  }, LONGEST_SILENCE);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}
