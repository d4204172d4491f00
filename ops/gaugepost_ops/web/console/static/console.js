/* Keys, updates and relative times. Every page works without this script. */
'use strict';
(() => {
  const POLL_MS = 2000;
  const doc = document;
  let paused = false;
  let chord = false;
  doc.documentElement.classList.add('has-js');

  /* Relative times: "2 min ago", "in 5 s". The exact time stays in the title. */
  const UNITS = [['year', 31557600], ['month', 2629800], ['d', 86400], ['h', 3600], ['min', 60], ['s', 1]];
  function relative(seconds) {
    const size = Math.abs(seconds);
    if (size < 1) return 'now';
    const [name, length] = UNITS.find(([, one]) => size >= one);
    const number = length < 3600 ? Math.floor(size / length) : Math.round(size / length); // a hold of 2 h ends "in 2 h"
    const text = `${number} ${name}${number > 1 && name.length > 3 ? 's' : ''}`;
    return seconds < 0 ? `${text} ago` : `in ${text}`;
  }
  function showTimes() {
    for (const time of doc.querySelectorAll('time[datetime]')) {
      const text = relative((Date.parse(time.dateTime) - Date.now()) / 1000);
      if (time.textContent !== text) time.textContent = text;
    }
  }

  /* Updates: ask again every 2 s, unless paused, hidden, or the answer is still on its way. */
  const live = () => doc.querySelector('[data-live]');
  let asking = false;
  let updated = new Date();
  /* Say so while updates fail: else an old page looks like a new one on which nothing has changed. */
  function note(worked) {
    const stale = doc.getElementById('stale');
    if (worked) updated = new Date();
    stale.querySelector('time').dateTime = updated.toISOString();
    stale.hidden = Boolean(worked);
    showTimes();
  }
  function ask() {
    if (live() && !paused && !asking && !doc.hidden && window.htmx) window.htmx.trigger(live(), 'refresh');
  }
  doc.addEventListener('htmx:configRequest', (event) => {
    const shown = event.target.dataset.etag;
    if (shown) event.detail.headers['If-None-Match'] = shown;
  });
  doc.addEventListener('htmx:beforeRequest', () => { asking = true; });
  doc.addEventListener('htmx:afterRequest', (event) => {
    asking = false;
    note(event.detail.successful);
  });
  doc.addEventListener('htmx:afterSwap', showTimes);
  function pause(on) {
    paused = on;
    const button = doc.querySelector('[data-pause]');
    if (!button) return;
    button.classList.toggle('on', on);
    button.textContent = on ? 'Resume updates' : 'Pause updates';
    if (!on) ask();
  }
  doc.addEventListener('visibilitychange', ask);
  setInterval(ask, POLL_MS);
  setInterval(showTimes, 1000);

  /* Keys. */
  function typing(target) {
    return target.closest && target.closest('input, textarea, select, [contenteditable]');
  }
  function help() {
    const dialog = doc.getElementById('help');
    if (dialog && !dialog.open) dialog.showModal();
  }
  doc.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    const wasChord = chord;
    chord = false;
    if (wasChord) {
      const link = doc.querySelector(`nav a[data-key="${CSS.escape(event.key)}"]`);
      if (link) link.click();
      return;
    }
    if (event.key === 'g') {
      chord = true;
      setTimeout(() => { chord = false; }, 1500);
    } else if (event.key === '/') {
      const search = doc.querySelector('input[type=search]');
      const jobs = doc.querySelector('nav a[href="/jobs"]');
      if (search || jobs) event.preventDefault();
      if (search) search.focus();
      else if (jobs) jobs.click();
    } else if (event.key === '?') {
      help();
    } else if (event.key === 'p') {
      pause(!paused);
    }
  });
  doc.addEventListener('click', (event) => {
    if (event.target.closest('[data-pause]')) pause(!paused);
    if (event.target.closest('[data-help]')) help();
  });
  /* What a person has typed or opened stays when an update changes the page around it. */
  if (window.Idiomorph) {
    window.Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, field) =>
      name !== 'open' && (name !== 'value' || field.value === field.defaultValue);
  }

  showTimes();
})();
