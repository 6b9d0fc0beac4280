/**
 * The conformance kit: readers and cards in this process, and suites that prove an implementation of {@link Pcsc} or a card profile. The
 * suites belong to no test runner: each is a list of {@link ConformanceTest}, to be run by any.
 *
 *     for (const { name, run } of profileSuite({ profile, card, pin })) test(name, run);
 */
export { ConformanceError, type ConformanceTest } from "./check.ts";
export { pcscSuite, type PcscSubject } from "./pcsc-suite.ts";
export { profileSuite, type ProfileSubject } from "./profile-suite.ts";
export { type CardScript, type Hex, ScriptedCard, type ScriptedCardOptions } from "./scripted-card.ts";
export { type InProcessCard, type MemoryClientOptions, MemoryReaders } from "../pcsc/index.ts";
