<?php

// Copyright (C) the ngx_http_bitrix1c_module authors

// A portal that only reads: PHP's built-in server runs this for each request.
// It finds the method and the parameters as Bitrix does, and answers
//   { "ran": [method, ...], "same": true or what differs, "files": [name, ...] }
// "same" is whether the parameters are those that the header X-View points to,
// "offset length" in the file of the environment's VIEWS.

function page(string $uri): string
{
    $path = rawurldecode(explode('?', $uri, 2)[0]);

    if (substr($path, -1) === '/') {
        $path .= 'index.php';
    }

    $parts = [];

    foreach (explode('/', $path) as $part) {
        if ($part === '..') {
            array_pop($parts);
        } elseif ($part !== '' && $part !== '.') {
            $parts[] = $part;
        }
    }

    return implode('/', $parts);
}

function params(): array
{
    $query = $_GET;

    if ($_POST) {
        return array_merge($query, $_POST);
    }

    if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
        return $query;
    }

    $body = trim(file_get_contents('php://input'));

    if ($body === '') {
        return $query;
    }

    $type = $_SERVER['HTTP_CONTENT_TYPE'] ?? $_SERVER['CONTENT_TYPE'] ?? '';
    $type = trim(explode(';', $type)[0]);
    $read = [];

    if ($type === 'application/json') {
        $read = json_decode($body, true, 512);
        $read = is_array($read) ? $read : [];
    } else {
        parse_str($body, $read);
    }

    return array_replace($query, $read);
}

// text of a number is the number, since the gateway keeps its digits

function same($a, $b, string $where): string
{
    if (is_array($a) && is_array($b)) {
        if (array_keys($a) !== array_keys($b)) {
            return "$where: names " . json_encode(array_keys($a)) . ' '
                . json_encode(array_keys($b));
        }

        foreach ($a as $key => $value) {
            $what = same($value, $b[$key], "$where/$key");

            if ($what !== '') {
                return $what;
            }
        }

        return '';
    }

    $numbers = (is_int($a) || is_float($a)) && is_numeric($b)
        && !is_bool($b);

    if ($a === $b || ($numbers && (float) $a == (float) $b)) {
        return '';
    }

    return "$where: " . json_encode([$a, $b], JSON_INVALID_UTF8_SUBSTITUTE);
}

$part = explode('/', page($_SERVER['REQUEST_URI']));
$params = params();
$name = count($part) === 4 && $part[0] === 'rest' ? $part[3]
    : (string) ($_REQUEST['method'] ?? 'none');
$name = mb_strtolower(preg_replace('/(?<=.)\.(json|xml)$/i', '', $name));

if (isset($params['token']) && !in_array($name, ['upload', 'download'])) {
    $name = 'by.token';
}

foreach (['auth', 'access_token'] as $who) {
    if (isset($params[$who]) || isset($_SERVER['HTTP_AUTHORIZATION'])) {
        $name = 'by.auth';
    }
}

unset($params['method'], $params['ap'], $params['aplogin']);

$ran = [$name];

if ($name === 'batch') {
    $upper = array_change_key_case($params, CASE_UPPER);

    foreach ((array) ($upper['CMD'] ?? []) as $command) {
        if (is_string($command)) {
            $url = parse_url($command);
            $ran[] = mb_strtolower($url['path'] ?? '');
            parse_str($url['query'] ?? '', $query);

            if (isset($query['token'])) {
                $ran[] = 'by.token';
            }

            if (isset($query['auth']) || isset($query['access_token'])) {
                $ran[] = 'by.auth';
            }
        }
    }
}

$same = true;

if (isset($_SERVER['HTTP_X_VIEW'])) {
    [$offset, $length] = explode(' ', $_SERVER['HTTP_X_VIEW']);
    $view = file_get_contents(getenv('VIEWS'), false, null, (int) $offset,
                              (int) $length);

    // numbers at the top are given anew to every method

    $what = same(array_merge($params),
                 array_merge(json_decode($view, true, 512)), '');
    $same = $what === '' ? true : $what;
}

header('Content-Type: application/json');
echo json_encode(['result' => 1, 'ran' => $ran, 'same' => $same,
    'files' => array_map(fn ($file) => $file['size'], $_FILES)],
    JSON_INVALID_UTF8_SUBSTITUTE);
