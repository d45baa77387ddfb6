import { type ValidationError, ValidationPipe } from '@nestjs/common';
import { invalid } from '#libs/domain';

function firstProblem(errors: readonly ValidationError[]): { path: string[]; message: string } {
  const error = errors[0];
  if (error === undefined) return { path: [], message: 'The input is not valid.' };
  if (error.constraints !== undefined) {
    return { path: [error.property], message: `${Object.values(error.constraints)[0]}.` };
  }
  const inner = firstProblem(error.children ?? []);
  return { path: [error.property, ...inner.path], message: inner.message };
}

/**
 * class-validator at the GraphQL door, with the house's errors: `invalid` INPUT_INVALID and the path of the input.
 * No `whitelist`: the GraphQL type is the list, and a field without a decorator must not vanish.
 */
export const inputValidation = () =>
  new ValidationPipe({
    transform: false,
    exceptionFactory: (errors) => {
      const { path, message } = firstProblem(errors);
      return invalid('INPUT_INVALID', message, ['input', ...path]);
    },
  });
