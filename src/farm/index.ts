/**
 * A farm of cards on NATS JetStream: workers offer the keys of their cards, and clients use them as PKCS #11 tokens. Needs the packages
 * `@nats-io/transport-node`, `@nats-io/jetstream` and `@nats-io/kv`.
 */
export { CardFarm, type CardFarmOptions } from "./card-farm.ts";
export { FarmError, type FarmErrorCode } from "./error.ts";
export type { FarmKey } from "./key.ts";
export type { FarmClientOptions, FarmUse } from "./link.ts";
export type { FarmTimes } from "./message.ts";
export type { NatsOptions, StreamOptions } from "./nats.ts";
export { FarmWorker, type FarmWorkerEvent, type FarmWorkerOptions } from "./worker.ts";
export type { FarmPinRequest, FarmPinSource } from "./worker-card.ts";
