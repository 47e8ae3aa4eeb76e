// The form that publishes.
import { $, write } from "./dom.js";
import * as meter from "./meter.js";

// start has what is sent published: publish(channel, data) returns the receipt, or throws what
// is shown.
export function start(publish) {
  $("publish").onsubmit = async event => {
    event.preventDefault();
    const channel = $("target").value, data = $("message").value;
    try {
      check(data);
      const receipt = await measured(publish, channel, data);
      say(`Published to ${channel}${receipt.repeated ? " before" : ""}${receipt.id ? `, id ${receipt.id}` : ""}.`);
      if ($("message").value === data) $("message").value = "";
    } catch (error) {
      say(`Not published: ${error.message}`, true);
    }
    $("message").focus();
  };
}

// check refuses what is to be JSON and is not. It is published as it was typed.
function check(data) {
  if ($("format").value !== "json") return;
  try {
    JSON.parse(data);
  } catch (error) {
    throw new Error(`this is no JSON (${error.message})`);
  }
}

async function measured(publish, channel, data) {
  meter.published(channel, data);
  try {
    return await publish(channel, data);
  } catch (error) {
    meter.unpublished(channel, data);
    throw error;
  }
}

function say(text, trouble = false) {
  $("receipt").classList.toggle("trouble", trouble);
  write($("receipt"), text);
}

$("message").onkeydown = event => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("publish").requestSubmit();
};
