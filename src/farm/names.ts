/**
 * The names and bounds of a farm on NATS JetStream. They belong to one version of its protocol: clients and workers of one farm share
 * them. Only settings that nats-server 2.9 knows are used.
 */

/** The work-queue stream. */
export const STREAM = "FARM";
/** The bucket of claims and of results of signatures. */
export const RESULTS = "FARM_RESULTS";
/** The subject to which workers answer with their keys. */
export const KEYS = "farm.v1.keys";
/** The subject on which a worker says that its keys have changed. */
export const CHANGED = "farm.v1.changed";
/** The subject on which a client asks for an answer that it may have missed. */
export const AGAIN = "farm.v1.again";
/** The queue group of workers: one of them takes what any may answer. */
export const WORKERS = "cryptoki-farm";
/** JetStream says here that a request was delivered as often as it may be, and never acknowledged. */
export const GIVEN_UP = `$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.${STREAM}.*`;

/** Seconds after which the server drops a request, a claim or a result. */
export const MAX_AGE = 120;
/** Bytes of a request, with its headers. */
export const MAX_MESSAGE = 4096;
/** Bytes of an input: a message that Ed25519 signs is the only long one. */
export const MAX_INPUT = 3072;
/** Milliseconds without an acknowledgement after which the server gives a request to another card. */
export const ACK_WAIT = 5000;
/** Deliveries of one request: to one card, and to one more. */
export const MAX_DELIVERIES = 2;
/** Requests that may wait for one key, where no option says so. */
export const QUEUE = 200;

const FINGERPRINT = /^[0-9a-f]{64}$/u;
const CLIENT = /^[\w-]{1,64}$/u;

export const isFingerprint = (text: string): boolean => FINGERPRINT.test(text);
export const isClientName = (text: string): boolean => CLIENT.test(text);

/** The subject of requests for a key. @param fingerprint SHA-256 of its SubjectPublicKeyInfo, hexadecimal; "*": of all keys. */
export const workSubject = (fingerprint: string): string => `farm.v1.work.${fingerprint}`;

/** The subject of answers to a client. @param id "*": to all its requests. */
export const replySubject = (client: string, id: string): string => `farm.v1.reply.${client}.${id}`;

/** Whether a worker may answer there: below the replies of one client, without wildcards. */
export const isReplySubject = (subject: string): boolean =>
  /^farm\.v1\.reply\.[\w-]{1,64}\.[\w-]{1,64}$/u.test(subject);
