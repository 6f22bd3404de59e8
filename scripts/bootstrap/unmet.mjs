/** Something that must be there is not; the message tells a person what to do. Ends the bootstrap with status 1. */
export class Unmet extends Error {}
