// As early.cjs, for handlers that are ECMAScript modules: node's loader of those takes 9 ms the first time.
export const handler = async (event) => event;
