/** Style sheet of the page, in the colours and sizes of GraphiQL. */
export const LAYOUT = `
body { margin: 0; }
#playground { height: 100vh; }
.graphiql-tabs { scrollbar-width: none; }
.graphiql-main > div:has(.examples) { max-width: 232px; }
.examples h2 { margin: 0; font-size: var(--font-size-h3); font-weight: var(--font-weight-medium); }
.examples h3 {
  margin: var(--px-16) 0 var(--px-4);
  color: hsla(var(--color-neutral), var(--alpha-secondary));
  font-size: var(--font-size-hint);
  font-weight: var(--font-weight-medium);
  text-transform: uppercase;
}
.examples ul { margin: 0; padding: 0; list-style: none; }
.examples button { display: block; width: 100%; padding: var(--px-2) var(--px-8); }
.examples button.active { background-color: hsla(var(--color-neutral), var(--alpha-background-medium)); }
.examples p {
  margin: var(--px-8) 0 0;
  color: hsla(var(--color-neutral), var(--alpha-secondary));
  font-size: var(--font-size-inline-code);
}
`;

/**
 * Script for the browser. A pane lists the examples, because GraphiQL's tab bar cannot show so many tabs. GraphiQL has
 * headers for each tab, so an example opens with the headers of the current tab, and a token is pasted only once. The
 * service decides whether these headers belong to an operator.
 *
 * A subscription socket opens with the first subscription. GraphiQL's history contains request headers, and therefore
 * tokens, so it is kept in sessionStorage and ends with the browser's tab.
 */
export const START = `
'use strict';
const root = document.getElementById('playground');
const { examples, headers: defaultHeaders } = JSON.parse(document.getElementById('settings').textContent);
const url = new URL('/graphql', location.href);
const subscriptionUrl = new URL(url);
subscriptionUrl.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
const areaOf = (key) => (/:(queries|favorites)$/.test(key) ? sessionStorage : localStorage);
const storage = {
  getItem: (key) => areaOf(key).getItem(key),
  setItem: (key, value) => areaOf(key).setItem(key, value),
  removeItem: (key) => areaOf(key).removeItem(key),
  clear: () => [sessionStorage, localStorage].forEach((area) => area.clear()),
  get length() { return localStorage.length + sessionStorage.length; },
};

const h = React.createElement;
const { useEditorContext, useExecutionContext, UnStyledButton } = GraphiQL.React;

async function isOperator(headers, signal) {
  if (!/authorization/i.test(headers)) return false;
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { ...JSON.parse(headers), 'content-type': 'application/json' },
      body: JSON.stringify({ query: '{ viewer { isAdmin } }' }),
      signal,
    });
    const { data } = await response.json();
    return data?.viewer?.isAdmin === true;
  } catch {
    // Incomplete headers, or the service is down.
    return false;
  }
}

function useOperator(headers) {
  const [answer, setAnswer] = React.useState(false);
  React.useEffect(() => {
    const abort = new AbortController();
    // GraphiQL sets the headers of a tab in several steps, and the user may be typing.
    const timer = setTimeout(async () => {
      const isAdmin = await isOperator(headers, abort.signal);
      if (!abort.signal.aborted) setAnswer(isAdmin);
    }, 300);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [headers]);
  return answer;
}

function Examples() {
  const editor = useEditorContext();
  const execution = useExecutionContext();
  const { tabs, activeTabIndex } = editor;
  const isForOperator = useOperator(tabs[activeTabIndex]?.headers ?? defaultHeaders ?? '');
  // The editors and tabs of the latest rendering, or null while an example opens.
  const latest = React.useRef(null);
  latest.current = editor;

  // GraphiQL's changes of tabs read and write the editors, so React must not repeat them. It does so for a click while an
  // edit is being stored, but not for a timer, which has the same priority as these edits.
  const open = ({ name, query, variables = '' }) => setTimeout(() => {
    const editor = latest.current;
    if (editor === null) return;
    latest.current = null;
    const headers = editor.headerEditor.getValue();
    const found = editor.tabs.findIndex(({ title }) => title === name);
    const index = found === -1 ? editor.tabs.length : found;
    execution.stop();
    if (found === -1) editor.addTab();
    else editor.changeTab(index);
    editor.updateActiveTabValues(found === -1 ? { headers, query, variables, operationName: name } : { headers });
    // Shows the values.
    editor.changeTab(index);
  });

  React.useEffect(() => {
    for (const part of [editor.queryEditor, editor.variableEditor]) part?.setOption('lineWrapping', true);
  }, [editor.queryEditor, editor.variableEditor]);
  React.useLayoutEffect(() => {
    // GraphiQL reads the name later than the text, and would store the name of another tab with this one.
    const operationName = tabs[activeTabIndex]?.operationName;
    if (editor.queryEditor && operationName) editor.queryEditor.operationName = operationName;
  }, [activeTabIndex]);
  React.useEffect(() => {
    document.querySelector('.graphiql-tab-active')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }, [activeTabIndex, tabs.length]);

  const entry = (example) =>
    h('li', { key: example.name },
      h(UnStyledButton, {
        type: 'button',
        className: tabs[activeTabIndex]?.title === example.name ? 'active' : '',
        onClick: () => open(example),
      }, example.name));
  const group = ({ title, examples }) =>
    h(React.Fragment, { key: title }, h('h3', null, title), h('ul', null, examples.map(entry)));
  return h('section', { className: 'examples', 'aria-label': 'Examples' },
    h('h2', null, 'Examples'),
    h('p', null, 'Each opens in a tab with the headers of the current tab.'),
    examples.filter(({ forOperators }) => !forOperators || isForOperator).map(group),
    isForOperator || h('p', null, 'More examples are shown for the token of an operator.'));
}

function ExamplesIcon(props) {
  return h('svg', { ...props, viewBox: '0 0 20 20', fill: 'none', stroke: 'currentColor', strokeWidth: 1.5 },
    h('path', { d: 'M2 4h1M2 10h1M2 16h1M6.5 4H18M6.5 10H18M6.5 16H18' }));
}

const pane = { title: 'Examples', icon: ExamplesIcon, content: Examples };
ReactDOM.createRoot(root).render(
  h(GraphiQL, {
    fetcher: GraphiQL.createFetcher({ url: url.href, subscriptionUrl: subscriptionUrl.href }),
    defaultTabs: examples[0].examples,
    defaultHeaders,
    plugins: [pane],
    visiblePlugin: pane,
    showPersistHeadersSettings: false,
    storage,
    defaultEditorToolsVisibility: defaultHeaders === undefined ? 'headers' : 'variables',
  }),
);
`;
