#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# The files in contrib/ for Prometheus and Grafana, with a real Prometheus.  It
# accepts the metrics and the rules, an alert fires when an event becomes a dead
# letter, and every panel of the dashboard shows a value.

use strict;
use warnings;

use FindBin ();
use HTTP::Tiny ();
use JSON::PP ();
use Test::More;

use lib "$FindBin::Bin/lib";

use Bitrix1C::Gateway qw(wait_until);
use Bitrix1C::Http qw(http_request);
use Bitrix1C::Port qw(free_port);

my $CONTRIB = "$FindBin::Bin/../contrib";
my $RULES = "$CONTRIB/prometheus-rules.yml";


sub slurp {
    my ($file) = @_;
    open my $fh, '<:raw', $file or die "$file: $!";
    local $/;
    return <$fh>;
}


sub promtool {
    my ($name, $command) = @_;
    my $said = `promtool $command 2>&1`;

    return is($?, 0, $name) || diag $said;
}


promtool('promtool accepts the rules', "check rules $RULES");
promtool('each alert fires when it has to',
         "test rules $FindBin::Bin/fixtures/prometheus/rules.test.yml");

my $gw = Bitrix1C::Gateway->new(
    queue  => 'concurrency 2; retry 1s;',
    server => 'location /bitrix1c/ { bitrix1c_api; }',
)->start;
my $port = free_port();
my $http = HTTP::Tiny->new(timeout => 10);


# what Prometheus answers to a query

sub ask {
    my ($path, %args) = @_;
    my $answer = $http->get("http://127.0.0.1:$port/api/v1/$path?"
                            . $http->www_form_urlencode(\%args));
    my $json = eval { JSON::PP->new->utf8->decode($answer->{content}) } // {};

    return $json->{data} if ($json->{status} // '') eq 'success';

    note "$path: ", $json->{error} // $answer->{content};
    return;
}


sub series {
    my ($query) = @_;
    my $data = ask('query', query => $query) or return;
    return @{ $data->{result} };
}


open my $fh, '>', "$gw->{dir}/prometheus.yml" or die "prometheus.yml: $!";
print {$fh} <<"EOT";
global:
  scrape_interval: 1s
  evaluation_interval: 1s
rule_files: [$RULES]
scrape_configs:
- job_name: bitrix1c
  metrics_path: /bitrix1c/metrics
  static_configs:
  - targets: ['127.0.0.1:$gw->{port}']
EOT
close $fh or die "prometheus.yml: $!";

my $pid = $gw->spawn('prometheus', 'prometheus',
    "--config.file=$gw->{dir}/prometheus.yml",
    "--storage.tsdb.path=$gw->{dir}/tsdb",
    "--web.listen-address=127.0.0.1:$port");

ok wait_until(30, sub { series('up{job="bitrix1c"} == 1') }, 0.2),
    'Prometheus reads the metrics'
    or diag $gw->slurp('prometheus.out');

$gw->post(id => 1);
$gw->onec_mode({ mode => '422' });
$gw->post(id => 2);
ok wait_until(30, sub { series('ALERTS{alertname="Bitrix1cDeadLetters",'
                               . ' alertstate="firing"}') }, 0.2),
    'an alert fires for the dead letter';
is_deeply [map { $_->{metric}{alertname} } series('ALERTS')],
    ['Bitrix1cDeadLetters'], 'no other alert fires';

my @sick = grep { $_->{health} ne 'ok' }
           map { @{ $_->{rules} } } @{ ask('rules')->{groups} };
is_deeply [map { "$_->{name}: $_->{lastError}" } @sick], [],
    'all rules can be evaluated';

# the names follow Prometheus's conventions

my $metrics = http_request(port => $gw->{port}, path => '/bitrix1c/metrics');
open $fh, '>', "$gw->{dir}/metrics" or die "metrics: $!";
print {$fh} $metrics->{body};
close $fh or die "metrics: $!";
promtool('promtool finds no fault in the metrics',
         "check metrics < $gw->{dir}/metrics");

# the Grafana dashboard

my $board = JSON::PP->new->utf8->decode(slurp("$CONTRIB/grafana.json"));
my @panels = @{ $board->{panels} };
my %ids = map { $_->{id} => 1 } @panels;

is scalar(keys %ids), scalar(@panels), 'each panel has an id of its own';

for my $panel (@panels) {
    my @empty = grep {
        my $query = $_->{expr};

        $query =~ s/\$queue/.*/g;
        $query =~ s/\$__rate_interval/1m/g;
        !wait_until(10, sub { series($query) }, 0.2);
    } @{ $panel->{targets} };

    is join("\n", map { $_->{expr} } @empty), '', "board: $panel->{title}";
}

kill 'TERM', $pid;
$gw->reap($pid, 20);
$gw->finish;
done_testing;
