/* The page of one job: the gateway says when the job changes, and htmx asks for the new page. */
'use strict';
(() => {
  const POLL_MS = 2000;
  const part = () => document.querySelector('[data-events]');
  if (!part()) return;
  let source = null;
  let polls = false;
  function refresh() {
    if (part() && window.htmx) window.htmx.trigger(part(), 'refresh');
  }
  const ended = () => !part() || 'ended' in part().dataset;

  /* Without events, ask every 2 s: this browser has none, or the gateway refuses them, for it has too many.
     A page that could not be updated asks as often, whatever events come. */
  setInterval(() => {
    const isOld = !document.getElementById('stale').hidden;
    if (!document.hidden && (isOld || (polls && !ended()))) refresh();
  }, POLL_MS);
  function open() {
    if (source || polls || ended() || document.hidden) return;
    source = new EventSource(part().dataset.events);
    source.addEventListener('changed', refresh);
    source.addEventListener('away', refresh);
    source.addEventListener('ended', close);
    source.addEventListener('error', () => {
      if (source && source.readyState === EventSource.CLOSED) polls = true;
    });
  }
  /* A hidden page needs no events. A browser has six connections to one server: other pages need them. */
  function close() {
    if (source) source.close();
    source = null;
  }
  if (!window.EventSource) {
    polls = true;
    return;
  }
  document.addEventListener('visibilitychange', () => { if (document.hidden) close(); else open(); });
  open();
})();
