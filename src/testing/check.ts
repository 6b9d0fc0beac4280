/** One check of a conformance suite: rejects with an error whose message says what is wrong. */
export interface ConformanceTest {
  readonly name: string;
  readonly run: () => Promise<void>;
}

/** What a conformance suite found wrong. */
export class ConformanceError extends Error {
  override readonly name = "ConformanceError";
}

/** @throws {ConformanceError} unless `condition` holds. */
export function check(condition: boolean, problem: string): asserts condition {
  if (!condition) throw new ConformanceError(problem);
}

/** @throws {ConformanceError} unless both are the same in JSON. */
export function checkEqual(actual: unknown, expected: unknown, what: string): void {
  const [found, wanted] = [JSON.stringify(actual), JSON.stringify(expected)];
  check(found === wanted, `${what} is ${found}, and not ${wanted}`);
}

/** What `work` rejects with. @throws {ConformanceError} if it succeeds. */
export async function failureOf(work: Promise<unknown>, what: string): Promise<unknown> {
  try {
    await work;
  } catch (error) {
    return error;
  }
  throw new ConformanceError(`${what} succeeds`);
}

/** An error in a few words, for messages. */
export function errorText(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
