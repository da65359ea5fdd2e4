// The fields of the request, and of what the upstream answers.

import { el } from '../view.js';
import { $ } from './dom.js';
import { plain } from './state.js';

/**
 * fields are the forms of a state's request and upstream. They call changed at each input.
 * @param {() => void} changed
 */
export function fields(changed) {
  const headers = headerRows($('try-headers'), 'header', changed);
  let initiator; // which nobody edits
  const own = headerRows($('try-upstream-headers'), 'header of the upstream', changed);
  for (const id of ['try-form', 'try-upstream']) {
    $(id).addEventListener('input', changed);
  }
  $('try-form').addEventListener('submit', (event) => event.preventDefault());
  $('try-add').addEventListener('click', () => headers.add());
  $('try-upstream-add').addEventListener('click', () => own.add());

  return {
    /** read returns the request, the upstream's answer, and whether the filter is there. */
    read() {
      return {
        request: {
          origin: $('try-origin').value.trim(),
          method: $('try-method').value.trim() || 'GET',
          url: $('try-url').value.trim(),
          headers: headers.read(),
          credentials: $('try-credentials').value === 'include',
          forced: $('try-forced').checked,
          route: $('try-routed').hidden ? '' : $('try-route').value.trim(),
          initiator,
          lookup: $('try-looked').hidden ? '' : $('try-lookup').value,
        },
        upstream: {
          status: statusOf($('try-status'), plain().status),
          headers: own.read(),
          preflights: statusOf($('try-preflights'), plain().preflights),
        },
        filter: !$('try-bare').checked,
      };
    },
    /** @param {import('./state.js').State} state */
    write({ request, upstream, filter }) {
      $('try-origin').value = request.origin;
      $('try-method').value = request.method;
      $('try-url').value = request.url;
      headers.write(request.headers);
      $('try-credentials').value = request.credentials ? 'include' : '';
      $('try-forced').checked = request.forced;
      $('try-listens').hidden = !request.forced;
      $('try-route').value = request.route;
      initiator = request.initiator;
      $('try-lookup').value = request.lookup;
      $('try-status').value = upstream.status;
      $('try-preflights').value = upstream.preflights;
      own.write(upstream.headers);
      $('try-bare').checked = !filter;
    },
    /** offer shows what may be asked of the visitor: origins to choose from, a route, a look-up. */
    offer({ origins, routes, looksUp }) {
      const offered = [...$('try-origins').options].map((o) => o.value);
      if (offered.join() !== origins.join()) {
        $('try-origins').replaceChildren(...origins.map((value) => el('option', { value })));
      }
      $('try-routed').hidden = !routes;
      $('try-looked').hidden = !looksUp;
    },
  };
}

function statusOf(input, otherwise) {
  const status = Number(input.value);
  const valid = Number.isInteger(status) && status >= 200 && status <= 599;
  input.setAttribute('aria-invalid', !valid);
  return valid ? status : otherwise;
}

// headerRows edits headers, a row each.
function headerRows(node, what, changed) {
  const rows = () => [...node.children];
  const inputs = (row) => row.querySelectorAll('input');
  const values = (made) => [...inputs(made)].map((input) => input.value.trim());
  const read = () => rows().map(values).filter(([name]) => name);

  function row(name = '', value = '') {
    const input = (properties) => el('input', { autocapitalize: 'off', spellcheck: false, ...properties });
    const remove = el('button', { className: 'button', type: 'button' }, '✕');
    const made = el('div', { className: 'try-header' },
      input({ value: name, placeholder: 'name' }), input({ value, placeholder: 'value' }), remove);
    remove.addEventListener('click', () => {
      const next = made.nextElementSibling ?? made.previousElementSibling;
      made.remove();
      label();
      (next?.querySelector('input') ?? node.parentElement.querySelector(':scope > button')).focus();
      changed();
    });
    made.addEventListener('input', label);
    return made;
  }

  // label names what is in the rows by the headers, for who doesn't see them.
  function label() {
    rows().forEach((made, i) => {
      const [name, value] = inputs(made);
      const which = name.value.trim() || `${what} ${i + 1}`;
      name.setAttribute('aria-label', `Name of ${what} ${i + 1}`);
      value.setAttribute('aria-label', `Value of ${which}`);
      made.querySelector('button').setAttribute('aria-label', `Remove ${which}`);
    });
  }

  return {
    read,
    write(headers) {
      if (JSON.stringify(read()) !== JSON.stringify(headers)) {
        node.replaceChildren(...headers.map(([name, value]) => row(name, value)));
        label();
      }
    },
    add() {
      node.append(row());
      label();
      node.lastElementChild.querySelector('input').focus();
    },
  };
}
