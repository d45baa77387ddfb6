export * from './lifecycle.module.js';
export { type DeclaredTask, DeclaredTasks } from './declared-tasks.js';
export {
  type RunAction,
  TaskRunner,
  type TaskOutcome,
  type TaskProgress,
  newProgress,
} from './task-runner.js';
export { type TaskRun } from './task-runs.repository.js';
export { TaskRunsService } from './task-runs.service.js';
export { TasksConfig } from './tasks.config.js';
